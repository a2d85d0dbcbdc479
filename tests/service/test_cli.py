"""The command line: what it prints where, and what it ends with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from rig import table, two_classes
from river import metrics
from river.evaluate import progressive_val_score
from typer.testing import CliRunner

from nnstream.estimators import MLPClassifier, OnlineClassifier
from nnstream.model import Model
from service import cli
from service.datasets import read_csv
from service.errors import DataError, SettingsError

ROOT = Path(__file__).parents[2]
COMMANDS = ["demo", "serve", "compile", "produce", "tail", "evaluate", "pretrain", "export", "schema", "report"]
FAST = ["--learner", "network"]


# -- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_names_every_command_and_where_to_start():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for command in [*COMMANDS, "nnstream demo"]:
        assert command in result.output
    assert {command.name or command.callback.__name__ for command in cli.app.registered_commands} == set(COMMANDS)


def test_an_unknown_option_is_exit_2(run):
    code, out, err = run("evaluate", "--nope")
    assert (code, out) == (2, "")
    assert "--nope" in err


# -- pretrain


def test_pretrain_writes_what_serve_can_start_from(run, csv, tmp_path):
    out = tmp_path / "model.safetensors"
    config = tmp_path / "config.yaml"
    config.write_text(f"model: {{learner: network, network: {{hidden: [5]}}, start_from: {out}}}")
    plain = tmp_path / "plain.yaml"
    plain.write_text("model: {learner: network, network: {hidden: [5]}}")
    given = ("--csv", csv(two_classes(300)), "--label", "y", "--config", plain)
    code, said, _ = run("pretrain", *given, "--passes", 3, "--out", out, "--json")
    assert code == 0
    summary = json.loads(said)
    assert summary.keys() == {"samples", "passes", "kept_pass", "loss_without_history", "loss"}
    assert summary["loss"] < summary["loss_without_history"]
    assert summary["samples"] == 270 * summary["kept_pass"] + 30
    assert run("serve", "--check", config)[0] == 0


def test_pretrain_for_people(run, csv, tmp_path):
    given = ("--csv", csv(two_classes(100)), "--label", "y", "--out", tmp_path / "model", *FAST)
    code, out, _ = run("pretrain", *given)
    assert code == 0
    assert re.search(r"samples +100\n", out)


def test_pretrain_cannot_write(run, csv, tmp_path):
    given = ("--csv", csv(two_classes(100)), "--label", "y", "--out", tmp_path / "nowhere" / "model", *FAST)
    code, _, err = run("pretrain", *given)
    assert code == 2
    assert "cannot be written" in err


# -- evaluate


def test_evaluate_prints_one_json_object_and_nothing_else(run, csv):
    code, out, _ = run("evaluate", "--csv", csv(two_classes(400)), "--label", "y", "--json", *FAST)
    assert code == 0
    assert out.count("\n") == 1
    summary = json.loads(out)
    assert summary.keys() == {"n", "accuracy", "loss", "baselines", "kappa_temporal", "kappa_m", "samples_per_second"}
    assert summary["baselines"].keys() == {"no_change", "majority"}
    assert summary["n"] == 400
    assert summary["accuracy"] > max(summary["baselines"].values())
    assert summary["samples_per_second"] > 0


def test_evaluate_is_the_library_on_the_rows(run, csv):
    path = csv(two_classes(300))
    config = path.with_name("config.yaml")
    config.write_text("model: {learner: network, network: {hidden: [5], seed: 3}}")
    code, out, _ = run("evaluate", "--csv", path, "--label", "y", "--json", "--config", config)
    assert code == 0
    samples = list(read_csv(path, "y"))
    from service.settings import load_settings  # noqa: PLC0415
    from service.wiring import model_spec  # noqa: PLC0415

    labels = [label for _, label in samples]
    outcome = Model(model_spec(load_settings(config).model)).predict_then_learn([row for row, _ in samples], labels)
    hits = [a == b for a, b in zip(outcome.predictions(), labels, strict=True)]
    assert json.loads(out)["accuracy"] == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize(("learner", "estimator"), [("ensemble", OnlineClassifier), ("network", MLPClassifier)])
def test_evaluate_is_rivers_progressive_validation(run, csv, learner, estimator):
    path = csv(two_classes(300))
    _, out, _ = run("evaluate", "--csv", path, "--label", "y", "--json", "--learner", learner)
    score = progressive_val_score(read_csv(path, "y"), estimator(), metrics.Accuracy())
    hits = json.loads(out)["accuracy"] * 300
    assert hits == pytest.approx(
        score.get() * 299
    )  # River does not count the first event, before which none is known


def test_evaluate_for_people(run, csv):
    code, out, _ = run("evaluate", "--csv", csv(two_classes(50)), "--label", "y", *FAST)
    assert code == 0
    for word in ("accuracy", "baseline no_change", "baseline majority", "samples_per_second"):
        assert word in out


def test_evaluate_a_regression(run, csv):
    text = table([(i % 7, i % 3, "x", 2.5 * (i % 7)) for i in range(400)])
    code, out, _ = run("evaluate", "--csv", csv(text), "--label", "y", "--task", "regression", "--json", *FAST)
    assert code == 0
    summary = json.loads(out)
    assert summary.keys() == {"n", "mae", "loss", "baselines", "samples_per_second"}
    assert summary["mae"] < min(summary["baselines"].values())
    assert summary["baselines"].keys() == {"no_change", "mean"}


def test_limit(run, csv):
    _, out, _ = run("evaluate", "--csv", csv(two_classes(50)), "--label", "y", "--json", "--limit", 20, *FAST)
    assert json.loads(out)["n"] == 20


USER_ERRORS = {
    "wrong label column": ("a,b\n1,2\n", ["--label", "y"], ["has no column y", "its columns are: a, b"]),
    "no label column": ("a,b\n1,2\n", [], ["--label COLUMN"]),
    "empty file": ("", ["--label", "y"], ["has no column y"]),
    "header only": ("a,y\n", ["--label", "y"], ["has a header but no rows"]),
    "ragged": ("a,y\n1,u\n1,u,3\n", ["--label", "y"], ["row 3: 3 values, but the header has 2 columns"]),
    "ragged in the middle": ("a,b,y\n1,2,u\n1,2\n", ["--label", "y"], ["row 3: 2 values"]),
    "ragged, short": ("a,y\n1,u\n1\n", ["--label", "y"], ["row 3: 1 values"]),
    "text for a regression": (
        "a,y\n1,u\n", ["--label", "y", "--task", "regression"], ["sample 1", "expected a number", "--task"],
    ),
    "fractions for a classification": ("a,y\n1,0.5\n", ["--label", "y"], ["sample 1", "expected a class", "--task"]),
    "unknown data set": (None, ["--dataset", "nope"], ["there is no data set nope", "shuttle", "hyperplane"]),
    "neither": (None, [], ["give either --csv FILE --label COLUMN or --dataset NAME"]),
    "both": ("a,y\n1,u\n", ["--label", "y", "--dataset", "shuttle"], ["give either"]),
    "no such config": ("a,y\n1,u\n", ["--label", "y", "--config", "nowhere.yaml"], ["nowhere.yaml cannot be read"]),
}  # fmt: skip


@pytest.mark.parametrize("name", USER_ERRORS)
def test_what_the_user_can_mend_is_exit_2_without_a_traceback(name, run, csv):
    text, options, words = USER_ERRORS[name]
    given = [] if text is None else ["--csv", csv(text)]
    code, out, err = run("evaluate", *given, *options, "--json", *FAST)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_a_missing_file_is_named(run, tmp_path):
    code, _, err = run("evaluate", "--csv", tmp_path / "nowhere.csv", "--label", "y")
    assert code == 2
    assert "nowhere.csv cannot be read" in err


# -- CSV files


def test_columns_have_types(csv):
    text = "n,m,text,mixed,y\n1,2.5,a,1,0\n,3,,x,1\n-4,inf,c,2,1\n"
    assert list(read_csv(csv(text), "y")) == [
        ({"n": 1.0, "m": 2.5, "text": "a", "mixed": "1"}, 0),
        ({"n": None, "m": 3.0, "text": None, "mixed": "x"}, 1),
        ({"n": -4.0, "m": None, "text": "c", "mixed": "2"}, 1),
    ]


def test_a_byte_order_mark_quotes_and_blank_lines(csv):
    text = '"y","a, b",c\r\n1,"x ""quoted""\nline",2\r\n\r\n0,z,3\r\n'
    assert list(read_csv(csv(text, "utf-8-sig"), "y")) == [
        ({"a, b": 'x "quoted"\nline', "c": 2.0}, 1),
        ({"a, b": "z", "c": 3.0}, 0),
    ]


def test_a_number_column_that_later_holds_a_text_has_a_missing_value(csv):
    text = "a,y\n" + "1,0\n" * 1500 + "oops,0\n"
    assert list(read_csv(csv(text), "y"))[-1] == ({"a": None}, 0)


def test_labels_that_are_whole_numbers_are_classes(csv):
    assert [label for _, label in read_csv(csv("a,y\n1,1.0\n1,2\n"), "y")] == [1, 2]
    assert [label for _, label in read_csv(csv("a,y\n1,1.5\n1,2\n"), "y")] == [1.5, 2]
    assert [label for _, label in read_csv(csv("a,y\n1,u\n1,2\n"), "y")] == ["u", "2"]


def test_another_encoding_is_named(csv):
    with pytest.raises(DataError, match="cannot be read"):
        list(read_csv(csv("a,y\né,1\n", "latin-1"), "y"))


# -- schema

RECORDS = {
    "event": {"features": {"a": 1.5, "b": "x", "c": [1, None], "d": None, "e": True}, "id": 3, "label": "u"},
    "prediction": {
        "id": "e-1", "ts": 1, "prediction": 1, "probabilities": {"0": 0.2, "1": 0.8}, "label": 1, "loss": 0.2,
        "model": {"name": "m", "version": 3}, "source": {"topic": "t", "partition": 0, "offset": 2},
    },
    "dead-letter": {
        "problem": "not_json", "reason": "r", "source": {"topic": "t", "partition": 0, "offset": 2}, "ts": 1,
    },
    "alert": {
        "model": "m", "signal": "loss", "detector": "adwin", "ts": 1, "before": 0.1, "after": 0.9,
        "source": {"topic": "t", "partition": 0, "offset": 2},
    },
    "settings": {"kafka": {"bootstrap_servers": "a:1"}, "model": {"network": {"hidden": [4]}}},
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind.value for kind in cli.RecordKind])
def test_schema_is_json_schema_that_records_fit(kind, run):
    code, out, _ = run("schema", kind)
    schema = json.loads(out)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(RECORDS[kind], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([], schema)


# -- serve --check


def test_check_says_what_it_would_do(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("kafka: {bootstrap_servers: 'somewhere:1'}\nmodel: {task: regression}")
    code, out, _ = run("serve", "--check", config)
    assert code == 0
    for word in ("config.yaml", "regression", "events -> predictions", "somewhere:1"):
        assert word in out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("http: {port: web}", "http.port"),
        ("kafak: {}", "did you mean kafka?"),
        ("model: {network: {activation: rellu}}", "relu"),
        ("model: {task: regression, classes: [a]}", "a regression has no classes"),
        ("model: {features: {a: {kind: vector}}}", "needs its size"),
        ("[", "is not YAML"),
    ],
)
def test_check_refuses_without_a_traceback(text, word, run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    code, out, err = run("serve", "--check", config)
    assert (code, out) == (SettingsError.exit_code, "")
    assert word in err
    assert "Traceback" not in err


def test_it_is_a_module_too(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("http: {port: web}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NNSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--check", str(config)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "http.port" in done.stderr
    assert "Traceback" not in done.stderr
