"""Settings from YAML and environment; what is wrong is named with its place; what exists is documented."""

import importlib.util
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from service.errors import SettingsError
from service.settings import FeatureSettings, Settings, load_settings, settings_from
from service.telemetry import Telemetry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def make_docs():
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def places(model=Settings, prefix=""):
    """Every setting: its dotted name and its field."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from places(field.annotation, f"{prefix}{name}.")


ALL = dict(places()) | dict(places(FeatureSettings, "model.features.<name>."))


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return write


# -- documented


@pytest.mark.parametrize("place", ALL)
def test_every_setting_has_a_description(place):
    assert (ALL[place].description or "").strip().endswith(".")


def test_the_reference_pages_are_those_of_the_code(make_docs):
    for name, page in make_docs.PAGES.items():
        stored = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert stored == page(), f"docs/{name} is stale: run scripts/make_docs.py"


@pytest.mark.parametrize("place", ALL)
def test_every_setting_is_in_the_reference(place):
    text = (ROOT / "docs" / "configuration.md").read_text()
    section, _, name = place.rpartition(".")
    if isinstance(ALL[place].annotation, type) and issubclass(ALL[place].annotation, BaseModel):
        assert f"\n## {place}\n" in text
    else:
        assert f"| `{name}` |" in text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]


def test_every_metric_is_in_the_reference():
    text = (ROOT / "docs" / "metrics.md").read_text()
    families = list(Telemetry("m").registry.collect())
    assert len(families) >= 18
    for family in families:
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        assert f"| `{family.name}{suffix}` | {family.type} |" in text
        assert family.documentation in text


def test_the_examples_of_the_records_fit_their_schemas(make_docs):
    for model, example in make_docs.EXAMPLES.items():
        jsonschema.validate(example, model.model_json_schema())
        assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


# -- where they come from


def test_without_anything_there_are_defaults():
    assert load_settings(None) == Settings()


def test_the_environment_wins_over_the_file(config, monkeypatch):
    path = config("kafka: {bootstrap_servers: 'file:1', group_id: from-file}\nhttp: {port: 1}")
    monkeypatch.setenv("NNSTREAM_KAFKA__BOOTSTRAP_SERVERS", "env:2")
    monkeypatch.setenv("NNSTREAM_MODEL__NETWORK__HIDDEN", "[3, 4]")
    settings = load_settings(path)
    assert settings.kafka.bootstrap_servers == "env:2"
    assert settings.kafka.group_id == "from-file"
    assert settings.http.port == 1
    assert settings.model.network.hidden == (3, 4)


def test_an_empty_file_is_the_defaults(config):
    assert load_settings(config("")) == Settings()


def test_what_is_dumped_can_be_loaded(config):
    data = {
        "model": {"task": "regression", "features": {"a": {"kind": "vector", "size": 3}}},
        "log": {"level": "error"},
    }
    settings = settings_from(data)
    again = load_settings(config(yaml.safe_dump(settings.model_dump(mode="json"))))
    assert again == settings


def test_the_file_of_the_container_can_be_used():
    assert load_settings(ROOT / "deploy" / "nnstream.yaml").http.host == "0.0.0.0"  # noqa: S104  # in a container


# -- what is refused


WRONG = {
    "unknown section": ("kafak: {}", ["kafak: unknown setting", "did you mean kafka?"]),
    "unknown key": ("kafka: {bootstrap_server: x}", ["kafka.bootstrap_server", "did you mean bootstrap_servers?"]),
    "unknown key, deep": (
        "model: {network: {optimizer: {learning_rat: 1}}}",
        ["model.network.optimizer.learning_rat", "did you mean learning_rate?"],
    ),
    "unknown key, far": ("log: {zzzzzz: 1}", ["log.zzzzzz: unknown setting; valid here: format, level"]),
    "unknown key of a feature": (
        "model: {features: {a: {kind: number, bucket: 3}}}", ["model.features.a.bucket", "did you mean buckets?"],
    ),
    "text for a number": ("http: {port: web}", ["http.port", "'web'"]),
    "out of range": ("http: {port: 70000}", ["http.port", "65535", "70000"]),
    "not positive": ("topics: {partitions: 0}", ["topics.partitions", "greater than 0"]),
    "not one of": ("model: {task: clustering}", ["model.task", "classification", "regression", "clustering"]),
    "optimizer": ("model: {network: {optimizer: {name: sdg}}}", ["model.network.optimizer.name", "sgd", "adam"]),
    "model name": ("model: {name: a/b}", ["model.name", "a/b"]),
    "list for a section": ("http: [1]", ["http"]),
    "two at once": ("http: {port: web}\nlog: {level: loud}", ["http.port", "log.level"]),
    "a list": ("- 1", ["must hold a mapping of sections", "list"]),
    "numbers as keys": ("1: 2", ["must hold a mapping of sections"]),
    "not YAML": ("a: [", ["is not YAML"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name, config):
    text, words = WRONG[name]
    with pytest.raises(SettingsError) as caught:
        load_settings(config(text))
    for word in [*words, "config.yaml"]:
        assert word in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_settings(path)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("NNSTREAM_KAFAK__GROUP_ID", "NNSTREAM_KAFAK__GROUP_ID is no setting; did you mean NNSTREAM_KAFKA?"),
        ("NNSTREAM_KAFKA__GRUOP_ID", "did you mean group_id?"),
        ("NNSTREAM_HTTP__PORT", "http.port"),
    ],
)
def test_a_wrong_environment_variable_is_refused(variable, words, monkeypatch):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(SettingsError) as caught:
        load_settings(None)
    assert words in str(caught.value)


# -- what they are


@pytest.mark.parametrize("place", [place for place in ALL if "<" not in place])
def test_settings_are_frozen(place):
    *path, name = place.split(".")
    section = Settings()
    for part in path:
        section = getattr(section, part)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(section, name, None)


def test_secrets_are_not_shown():
    settings = settings_from({"kafka": {"password": "hunter2"}})
    assert settings.kafka.password.get_secret_value() == "hunter2"
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter2" not in shown


def test_secrets_are_not_shown_in_an_error():
    with pytest.raises(SettingsError) as caught:
        settings_from({"kafka": {"password": ["hunter2"]}})
    assert "kafka.password" in str(caught.value)
    assert "hunter2" not in str(caught.value)
