"""Who may import whom, how long a file may be, and what must not stand in any."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import nnstream.errors
import service.errors

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("nnstream/**/*.py"), *ROOT.glob("service/**/*.py")])
LARGEST = 400

STAGES = {"source", "decode", "learner", "reasons", "confidence", "monitor", "publish", "checkpoint"}
BASE = {"records", "positions", "events", "errors", "formats"}
# What a stage may import of the service: the public records, and nothing that another stage does.
STAGE_IMPORTS = {
    "source": {"records", "positions"},
    "decode": {"records", "formats"},
    "learner": set(),
    "reasons": {"records"},
    "confidence": set(),
    "monitor": set(),
    "publish": {"records", "positions", "events"},
    "checkpoint": {"records"},
}
# Who else may import a stage: the task calls all in order; the rest see protocols and records.
STAGE_USERS = {
    "source": {"wiring", "worker", "connection", "standby", "task", "recovery", "adapters", "testing"},
    "decode": {"task"},
    "learner": {"task"},
    "reasons": {"task", "web"},
    "confidence": {"task"},
    "monitor": {"task", "telemetry", "observe"},
    "publish": {"task", "connection", "wiring", "encoded"},
    "checkpoint": {
        "task",
        "recovery",
        "standby",
        "connection",
        "wiring",
        "checkpoint_admin",
        "adapters",
        "testing",
    },
}
CLIENTS = {"kafka", "fsspec", "confluent_kafka", "httpx2"}


def module_of(path):
    """Dotted name, without `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every module a file imports, wherever in it; of `from a import b` both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = {module_of(path): imports_of(path) for path in FILES}
SERVICE = {name.split(".")[1]: set() for name in MODULES if name.startswith("service.")}
for _name, _found in MODULES.items():
    if _name.startswith("service."):
        SERVICE[_name.split(".")[1]] |= {each.split(".")[1] for each in _found if each.startswith("service.")}


def importers(top):
    """Modules that import a top-level package."""
    return {name for name, found in MODULES.items() if any(each.split(".")[0] == top for each in found)}


def test_the_library_does_not_know_the_service():
    assert {name for name in importers("service") if name.startswith("nnstream")} == set()


def test_only_the_kernels_know_numba():
    assert all(name.startswith("nnstream.kernels") for name in importers("numba"))
    assert "nnstream.kernels._jit" in importers("numba")


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_only_the_adapters_know_client_libraries(client):
    assert all(name.startswith("service.adapters.") for name in importers(client))


@pytest.mark.parametrize("foreign", ["pydantic", "structlog", "logging", "os", "threading", "time", "asyncio"])
def test_the_library_has_no_environment_no_clock_no_threads_no_logging(foreign):
    allowed = {"nnstream.kernels._jit"} if foreign == "os" else set()  # where the compiled code is kept
    assert {name for name in importers(foreign) if name.startswith("nnstream")} <= allowed


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stages_do_not_import_each_other(stage):
    assert SERVICE[stage] <= STAGE_IMPORTS[stage]
    assert STAGE_IMPORTS[stage] <= BASE


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_stages_are_used_where_they_belong(stage):
    users = {name for name, found in SERVICE.items() if stage in found}
    assert users <= STAGE_USERS[stage]


def test_only_where_things_are_put_together_adapters_are_known():
    assert {name for name, found in SERVICE.items() if "adapters" in found} <= {
        "wiring", "cli", "demo", "adapters", "checkpoint_admin", "report_cli",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["testing", "cli", "demo", "embedded"])
def test_nobody_builds_on_the_outermost(name):
    allowed = {"cli": {"__main__"}, "demo": {"cli"}, "embedded": {"demo"}}.get(name, set())
    assert {other for other, found in SERVICE.items() if name in found and other != name} <= allowed


def test_only_the_settings_read_the_environment():
    readers = set()
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if re.search(r"\bos\.(environ|getenv)|\bfrom os import .*(environ|getenv)", text):
            readers.add(module_of(path))
    assert {name for name in readers if name.startswith("service")} == {"service.settings.load"}
    assert {name for name in readers if name.startswith("nnstream")} <= {"nnstream.kernels._jit"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_there_are_no_circles(name):
    """Imports at the head of a module, followed from one to the next, never come back."""

    def below(module, seen):
        for other in MODULES.get(module, ()):
            if other in MODULES and other not in seen and other != module.rpartition(".")[0]:
                seen.add(other)
                below(other, seen)
        return seen

    assert name not in below(name, set())


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    return [path for name in listed if name and (path := ROOT / name.decode()).is_file()]


def test_no_file_of_code_is_too_long():
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked()
        if path.suffix == ".py"
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LARGEST
    }
    assert long == {}


@pytest.mark.parametrize("module", [nnstream.errors, service.errors], ids=lambda module: module.__name__)
def test_every_error_is_in_the_tree(module):
    classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Exception)]
    drawn = {}
    for line in module.__doc__.splitlines():
        found = re.match(r"^([│├└─ ]*)([A-Z]\w+Error)\b", line)
        if found:
            drawn[found[2]] = found[1]
    assert {each.__name__ for each in classes} == drawn.keys()
    names = list(drawn)
    for each in classes:
        depth = len(drawn[each.__name__])
        above = [name for name in names[: names.index(each.__name__)] if len(drawn[name]) < depth]
        assert (each.__bases__[0].__name__ if depth else None) == (above[-1] if above else None), each


def test_no_file_names_a_place_of_one_machine_or_a_registry():
    """The words are put together here, so that this file holds none of them."""
    homes = [f"/{top}/" for top in ("home", "Users", "root")] + ["/" + "work" + "/"]
    registries = [".".join(parts) for parts in (
        ("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("proxy", "golang", "org"),
        ("repo", "maven", "apache", "org"), ("repo1", "maven", "org"), ("index", "crates", "io"),
    )]  # fmt: skip
    words = [word.encode() for word in homes + registries]
    found = []
    for path in tracked():
        data = path.read_bytes()
        found += [f"{path.relative_to(ROOT)}: {word.decode()}" for word in words if word in data]
    assert found == []
