"""The live page's read model and its files, without a browser."""

import asyncio
import contextlib
import hashlib
import json
import socket
import tomllib
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rig import P0, P1, Rig, filled_log, make_settings

from service import probe
from service.records import Outgoing
from service.settings import HttpSettings
from service.testing import FakeClock
from service.web import page
from service.web.app import create_app
from service.web.live import Live
from service.web.recent import Outcomes, Recent
from service.web.samples import History, flat, sample

COUNT = 90
BAD = len([i for i in range(COUNT) if i % 17 == 5])


class Watched:
    """A worker of fakes with the page's read model beside it."""

    def __init__(self, partitions=(P0,), **options):
        settings = options.pop("settings", None) or make_settings()
        self.clock = FakeClock()
        self.recent = Recent(settings.topics, settings.model.task, settings.monitor.window, self.clock)
        self.rig = Rig(filled_log(COUNT, partitions), settings, watcher=self.recent, **options)
        self.live = Live(self.rig.worker, settings, self.recent, clock=self.clock)

    def told(self, partition=None, count=3):
        """Names and data of the first server-sent events."""

        async def first():
            found = []
            stream = self.live.events(partition)
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    name, data = chunk.decode().strip().split("\n")
                    found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
                    if len(found) == count:
                        break
            return found

        return asyncio.run(first())


# -- what was published


def test_the_newest_predictions_are_the_published_ones():
    watched = Watched()
    watched.rig.started()
    published = [json.loads(record.value) for record in watched.rig.publisher.topic("predictions")]
    assert watched.recent.describe(0)["predictions"] == published[-12:]


def test_the_confusion_matrix_counts_labels_against_predictions():
    watched = Watched()
    watched.rig.started()
    published = [json.loads(record.value) for record in watched.rig.publisher.topic("predictions")]
    pairs = [(each["label"], each["prediction"]) for each in published if each.get("label") and each["prediction"]]
    outcomes = watched.recent.describe(0)["outcomes"]
    assert outcomes["classes"] == sorted({name for pair in pairs for name in pair})
    for i, label in enumerate(outcomes["classes"]):
        for j, prediction in enumerate(outcomes["classes"]):
            assert outcomes["counts"][i][j] == pairs.count((label, prediction))


def test_a_confusion_matrix_forgets_what_left_the_window():
    outcomes = Outcomes("classification", window=3)
    outcomes.add(["a", "a", None, "b", "b"], ["b", "a", "a", "b", "b"])
    assert outcomes.describe() == {"classes": ["a", "b"], "counts": [[1, 0], [0, 2]]}


def test_rare_classes_share_a_row():
    outcomes = Outcomes("classification", window=1000)
    for label in range(12):
        outcomes.add([label] * (20 - label), [label] * (20 - label))
    described = outcomes.describe()
    assert described["classes"][-1] == "others"
    assert len(described["classes"]) == 11
    assert described["counts"][-1][-1] == (20 - 10) + (20 - 11)


def test_a_regression_keeps_pairs():
    outcomes = Outcomes("regression", window=5)
    outcomes.add([1.0, 2.0], [None, 2.5])
    assert outcomes.describe() == {"residuals": [(2.0, 2.5)]}


def test_dead_letters_come_with_their_reasons():
    watched = Watched()
    watched.rig.started()
    letters = watched.recent.describe(0)["dead_letters"]
    assert [letter["source"]["offset"] for letter in letters] == [i for i in range(COUNT) if i % 17 == 5]
    assert all(letter["problem"] == "not_json" and letter["reason"].startswith("not JSON") for letter in letters)


def test_alerts_and_explanations_are_kept_with_the_time_they_were_seen():
    settings = make_settings()
    recent = Recent(settings.topics, "classification", 10, lambda: 77.0)
    alert = {
        "signal": "loss",
        "source": {"topic": "events", "partition": 1, "offset": 5},
        "before": 0.1,
        "after": 1.0,
    }
    why = {"id": "e", "prediction": 1, "explanation": {"x": 0.5}, "source": {"partition": 1, "offset": 6}}
    recent.published([
        Outgoing("alerts", None, None, json.dumps(alert).encode(), (), 0),
        Outgoing("predictions", 1, None, json.dumps(why, separators=(",", ":")).encode(), (), 0),
    ])  # fmt: skip
    described = recent.describe(1)
    assert described["alerts"] == [alert | {"seen": 77.0}]
    assert described["explained"] == [why]


# -- what the metrics were


def test_a_sample_is_what_metrics_says():
    rig = Rig(filled_log(COUNT, (P0, P1))).started()
    worker, partitions = sample(rig.telemetry.registry)
    assert sorted(partitions) == [0, 1]
    assert partitions[0]["events"] == COUNT
    assert {problem: n for problem, n in partitions[0]["dead_letters"].items() if n} == {"not_json": BAD}
    assert partitions[1]["score"].keys() >= {"accuracy/model", "accuracy/no_change", "accuracy/majority"}
    assert worker["assigned"] == 2


def test_a_sample_is_finite():
    rig = Rig(filled_log(COUNT)).started()
    rig.telemetry.loss.labels("default", "0").set(float("nan"))
    assert sample(rig.telemetry.registry)[1][0]["loss"] is None


def test_a_history_forgets_the_oldest_and_fills_what_came_later():
    history = History(3)
    history.add(1.0, {"loss": 0.5})
    history.add(2.0, {"loss": None, "score": {"accuracy/model": 0.9}})
    history.add(3.0, {"loss": 0.3, "events": 7})
    assert history.describe() == {
        "t": [1.0, 2.0, 3.0], "loss": [0.5, None, 0.3], "score.accuracy/model": [None, 0.9, None],
        "events": [None, None, 7.0],
    }  # fmt: skip
    history.add(4.0, {"loss": 0.2})
    assert history.describe()["t"] == [2.0, 3.0, 4.0]
    assert history.describe()["loss"] == [None, 0.3, 0.2]
    assert history.describe()["events"] == [None, 7.0, None]


def test_only_what_is_charted_is_kept():
    assert flat({"loss": 1.0, "version": 3, "score": {"mae/model": 2.0}}) == {"loss": 1.0, "score.mae/model": 2.0}


# -- what a page is told


def test_a_page_is_told_the_past_then_the_present():
    watched = Watched()
    watched.rig.started()
    watched.clock.now += 1
    watched.live.sample()
    (first, hello), (second, news), (third, recent) = watched.told()
    assert (first, second, third) == ("hello", "sample", "recent")
    assert hello["model"] == {"name": "default", "task": "classification", "learner": "network"}
    assert (hello["partition"], hello["history"]["events"]) == (0, [COUNT])
    assert news["totals"] == {"events": COUNT, "lag": 0, "dead_letters": BAD}
    assert (news["state"], news["owned"], news["values"]["events"]) == ("running", [0], COUNT)
    assert recent == watched.recent.describe(0)


def test_a_partition_can_be_chosen_and_another_ones_cannot():
    watched = Watched((P0, P1))
    watched.rig.started()
    watched.live.sample()
    assert watched.told(1)[0][1]["partition"] == 1
    assert watched.told(7)[0][1]["partition"] == 0


def test_before_partitions_there_is_a_page_too():
    watched = Watched(assign_all=False)
    watched.rig.started()
    watched.live.sample()
    (_, hello), (_, news) = watched.told(count=2)
    assert (hello["partition"], hello["history"]) == (None, {"t": []})
    assert (news["partition"], news["values"], news["totals"]["events"]) == (None, {}, 0)


def test_a_partition_that_is_given_up_is_no_longer_shown():
    watched = Watched((P0, P1))
    watched.rig.started()
    watched.rig.source.revoke([P0])
    watched.rig.worker.step()
    watched.live.sample()
    (_, hello), (_, news), _ = watched.told(0)
    assert (hello["partition"], news["owned"]) == (1, [1])


def test_a_stream_ends_with_the_service_and_tells_the_last_state():
    watched = Watched()
    with watched.live:
        watched.rig.run()
    found = watched.told(count=99)
    assert [name for name, _ in found] == ["hello", "sample"]
    assert found[1][1]["state"] == "stopped"


# -- the files


def get(path, live=None):
    watched = Watched()
    app = create_app(watched.rig.worker, HttpSettings(), live or watched.live)

    async def request():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nnstream") as client:
            return await client.get(path)

    return asyncio.run(request())


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/static/vendor/uPlot.js"])
def test_files_are_served_and_nothing_else_may_run(path):
    answer = get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_page_refers_to_nothing_outside():
    for path in page.STATIC.rglob("*"):
        if path.suffix in (".html", ".css", ".js") and path.parent.name != "vendor":
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "//" not in "".join(part for part in text.split() if part.startswith(("http:", "https:"))), path
            assert "innerHTML" not in text, path


def test_what_is_vendored_is_what_was_published():
    vendored = page.STATIC / "vendor"
    record = json.loads((vendored / "VENDORED.json").read_text())
    assert record["files"].keys() == {path.name for path in vendored.iterdir()} - {"VENDORED.json"}
    for name, digest in record["files"].items():
        assert hashlib.sha256((vendored / name).read_bytes()).hexdigest() == digest, name
    assert "MIT" in (vendored / "uPlot.LICENSE").read_text()
    assert record["licence"] == "MIT"


def test_the_package_holds_every_file_of_the_page():
    root = Path(__file__).parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service"]
    packed = {path for pattern in patterns for path in (root / "service").glob(pattern)}
    assert {path for path in page.STATIC.rglob("*") if path.is_file()} <= packed


# -- the probe


def test_a_broker_is_reachable_while_something_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probe.broker_probe(f"127.0.0.1:1, 127.0.0.1:{port}")()
    assert not probe.broker_probe(f"127.0.0.1:{port}")()


def test_addresses_of_several_servers_and_of_ipv6():
    assert probe.addresses("a:9092, [::1]:9093,nonsense") == [("a", 9092), ("::1", 9093)]


def test_the_probe_is_a_metric():
    watched = Watched()
    live = Live(watched.rig.worker, watched.rig.settings, watched.recent, broker_reachable=lambda: False)
    live.probe()
    answer = get("/metrics", live)
    assert answer.status_code == 200
    registry = watched.rig.telemetry.registry
    assert registry.get_sample_value("nnstream_broker_reachable", {"model": "default"}) == 0
    assert list(text_string_to_metric_families(answer.text))


def test_a_partition_that_went_to_another_worker_is_no_longer_in_metrics():
    watched = Watched((P0, P1))
    watched.rig.started()
    registry = watched.rig.telemetry.registry
    labels = {"model": "default", "partition": "0"}
    assert registry.get_sample_value("nnstream_consumer_lag_events", labels) == 0
    watched.rig.source.revoke([P0])
    watched.rig.worker.step()
    shown = {
        s.labels["partition"] for family in registry.collect() for s in family.samples if "partition" in s.labels
    }
    assert shown == {"1"}
    assert registry.get_sample_value("nnstream_assigned_partitions", {"model": "default"}) == 1
