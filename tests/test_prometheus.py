"""The rules and alerts of deploy/prometheus, judged by Prometheus' own promtool."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.telemetry import Telemetry

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*_test.yml"))
METRIC = re.compile(r"\b(?:[a-z_]+:)?nnstream_[a-z_]+(?::[a-z0-9_]+)?")

sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture(scope="session")
def promtool():
    """Debian's promtool, unpacked into build/ by scripts/debian_tools.py where it is missing."""
    from debian_tools import prometheus  # noqa: PLC0415

    program = prometheus() / "promtool"

    def run(*arguments):
        done = subprocess.run([program, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def rules(kind):
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS, RECORDS = rules("alert"), rules("record")


def exported():
    """Every name that /metrics can have, and every recorded one."""
    names = set(RECORDS)
    for family in Telemetry("default").registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    return names


def test_the_configuration_and_the_rules_can_be_used(promtool):
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", *RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_rules_say_what_they_should(promtool, path):
    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.parametrize("name", [*ALERTS, *RECORDS])
def test_a_rule_asks_only_for_what_there_is(name):
    rule = (ALERTS | RECORDS)[name]
    assert set(METRIC.findall(rule["expr"])) <= exported()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_and_says_what_to_do(name):
    alert = ALERTS[name]
    cases = [case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]
             for case in test["promql_expr_test"] if f'alertname="{name}"' in case["expr"]]  # fmt: skip
    assert {bool(case["exp_samples"]) for case in cases} == {True, False}, "it must fire, and not fire"
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert {"summary", "description", "runbook"} == alert["annotations"].keys()
    assert alert["annotations"]["runbook"].endswith(f"docs/runbook.md#{name.lower()}")
    section = (ROOT / "docs" / "runbook.md").read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert all(word in section for word in ("**Means:**", "**Look:**", "**Do:**"))


def test_the_runbook_has_no_section_of_an_alert_that_is_gone():
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert headings == list(ALERTS)
