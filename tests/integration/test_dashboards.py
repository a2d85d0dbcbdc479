"""Two real services on a real Kafka, read by a real Prometheus: every query of every panel and rule has an answer."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from harness import ROOT, Service, wait_until

pytestmark = pytest.mark.integration

GRAFANA, PROMETHEUS = ROOT / "deploy" / "grafana", ROOT / "deploy" / "prometheus"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
METRIC = re.compile(r"\b(?:[a-z_]+:)?nnstream_[a-z_]+(?::[a-z0-9_]+)?|\bup\b")
MODELS = ("classes", "numbers")


def rules(kind):
    groups = [g for path in (PROMETHEUS / "rules").glob("*.yml") for g in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule["expr"] for group in groups for rule in group["rules"] if kind in rule}


def panels():
    """Title and expression of each query, those of the choices at the head included."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}: {target['legendFormat']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield (
                    f"{name}: ${variable['name']}",
                    re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])[1],
                )


class Prometheus:
    """A Prometheus of this project's configuration, with our workers for targets and seconds for minutes."""

    def __init__(self, program, directory, targets):
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(PROMETHEUS / pattern) for pattern in config["rule_files"]]
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": targets}]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._log = directory / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program / "prometheus", f"--config.file={directory / 'prometheus.yml'}",
                 f"--storage.tsdb.path={directory / 'data'}", "--web.listen-address=127.0.0.1:0"],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        address = wait_until(self._address, "the address that Prometheus listens on", self._check)
        self._client = httpx.Client(base_url=f"{address}/api/v1", timeout=30)

    def _address(self):
        found = re.search(r'msg="Listening on" address=([\d.:]+)', self._log.read_text())
        return found and f"http://{found[1]}"

    def _check(self):
        assert self._process.poll() is None, self._log.read_text()

    def stop(self):
        self._client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def query(self, expression):
        reply = self._client.get("/query", params={"query": expression}).json()
        assert reply["status"] == "success", (expression, reply)
        return reply["data"]["result"]

    def get(self, path):
        return self._client.get(f"/{path}").json()["data"]


def stream(task, count, start):
    """Events with features and labels, some of which come late, and a few that cannot be used."""
    for i in range(start, start + count):
        x = (i * 37 % 101) / 50 - 1
        label = 3 * x if task == "regression" else int(x > 0)
        if i % 50 == 0:
            yield {"id": f"e-{i}", "features": {"x": x, "y": i % 7}}
            yield {"id": f"e-{i}", "label": label}
        elif i % 50 == 1:
            yield b"no JSON"
        else:
            yield {"id": f"e-{i}", "features": {"x": x, "y": i % 7}, "label": label}


@pytest.fixture(scope="module")
def prometheus(kafka, compiled, tmp_path_factory):
    """Prometheus, once it has read both services at work for a while."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from debian_tools import prometheus as find  # noqa: PLC0415

    services, server = [], None
    try:
        for name, task in zip(MODELS, ("classification", "regression"), strict=True):
            directory = tmp_path_factory.mktemp(name)
            model = {"name": name, "task": task, "confidence": 0.9}
            services.append(
                Service(kafka, directory, directory.name, {"model": model, "explain": {"share": 0.5}}).start()
            )
        targets = [service.url.removeprefix("http://") for service in services]
        server = Prometheus(find(), tmp_path_factory.mktemp("prometheus"), targets)
        recorded = list(rules("record"))
        sent = 0

        def feed():
            nonlocal sent
            for service in services:
                service.produce(stream(service.data["model"]["task"], 200, sent))
            sent += 200

        def complete():
            feed()
            return all(server.query(name) for name in recorded)

        server.feed = feed  # rates need events that have just come

        wait_until(complete, "every recorded series")
        yield server
    finally:
        if server is not None:
            server.stop()
        for service in services:
            service.kill()


def rendered(expression, model):
    """The expression with Grafana's variables filled in."""
    for name, value in {"$model": model, "$partition": ".*", "$__rate_interval": "20s"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


@pytest.mark.parametrize("model", MODELS)
def test_every_panel_has_data(prometheus, model):
    def empty():
        prometheus.feed()
        return [name for name, expr in panels() if not prometheus.query(rendered(expr, model))]

    for _ in range(60):
        missing = empty()
        if not missing:
            break
        time.sleep(0.5)
    assert missing == []


def test_annotations_are_no_errors(prometheus):
    for dashboard in DASHBOARDS.values():
        for annotation in dashboard["annotations"]["list"]:
            prometheus.query(rendered(annotation["expr"], "classes"))


@pytest.mark.parametrize("kind", ["record", "alert"])
def test_what_a_rule_reads_is_there(prometheus, kind):
    """An alert's own expression is empty while all is well: what it compares must not be."""
    for name, expression in rules(kind).items():
        found = prometheus.query(expression)
        if kind == "record":
            assert found, name
        for metric in set(METRIC.findall(expression)):
            assert prometheus.query(metric), (name, metric)


def test_no_rule_fails_and_every_worker_is_read(prometheus):
    groups = prometheus.get("rules")["groups"]
    loaded = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert loaded.keys() == {**rules("record"), **rules("alert")}.keys()
    assert {name: rule["lastError"] for name, rule in loaded.items() if rule.get("lastError")} == {}
    targets = prometheus.get("targets")["activeTargets"]
    assert [target["health"] for target in targets] == ["up"] * len(MODELS)
    assert [target["lastError"] for target in targets] == [""] * len(MODELS)


def test_the_dashboards_are_those_of_their_definitions(tmp_path):
    subprocess.run([sys.executable, GRAFANA / "make_dashboards.py", tmp_path], check=True)
    made = {path.stem: json.loads(path.read_text()) for path in Path(tmp_path).glob("*.json")}
    assert made == DASHBOARDS


def test_panels_do_not_lie_on_each_other():
    for dashboard in DASHBOARDS.values():
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
