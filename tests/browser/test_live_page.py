"""The live page in a real Chromium, before the real service on a real Kafka."""

import json
import re
import uuid
from itertools import islice

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from harness import Kafka, Service, wait_until
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families
from river.datasets import synth

pytestmark = pytest.mark.integration

BEFORE, AFTER = 4_000, 3_000
BAD = [b"no JSON", b'{"features": {"x": {}}}', b""]
THEMES = ("light", "dark")
expect.set_options(timeout=120_000)  # before something counts as stuck; never how long it should take


def sine(rule, count):
    """Points above or below a sine; rule 1 turns rule 0 upside down."""
    stream = synth.Sine(classification_function=rule, seed=42)
    return [{"features": x, "label": y} for x, y in islice(stream, count)]


class Metrics:
    """What /metrics says now: `metrics("nnstream_loss", partition="0")`."""

    def __init__(self, service):
        text = service.get("/metrics").text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def all(self, name, **labels):
        return [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def __call__(self, name, **labels):
        (value,) = self.all(name, **labels)
        return value


def lost(count):
    """The same points with labels that follow no rule any more: nobody can adapt to that."""
    rng = np.random.default_rng(7)
    return [{"features": each["features"], "label": int(rng.random() < 0.5)} for each in sine(0, count)]


@pytest.fixture(scope="module")
def service(kafka, compiled, tmp_path_factory):
    """A service that has learned a stream and met a few bad events."""
    name = f"page-{uuid.uuid4().hex[:8]}"
    service = Service(kafka, tmp_path_factory.mktemp(name), name, {"model": {"name": name}})
    try:
        service.start()
        service.produce(sine(0, BEFORE) + BAD)
        service.wait_committed(BEFORE + len(BAD))
        yield service
    finally:
        service.kill()


def text(page, selector):
    return page.locator(selector).inner_text()


def at_rest(service):
    """The service once it has committed all that earlier tests sent."""
    topic = service.topics["events"]
    ends = service.kafka.end_offsets(topic)
    wait_until(lambda: service.kafka.committed(topic, service.group) == ends, "everything committed", service.check)
    return service


def live(page):
    """The page once it shows the stream."""
    expect(page.locator("#state-text")).to_have_text("Live")
    page.wait_for_selector("#predictions tbody tr")
    return page


def test_the_numbers_are_those_of_metrics(service, new_page):
    page = live(new_page(at_rest(service).url))
    found = Metrics(service)
    letters = found.all("nnstream_dead_letters_total")
    for selector, words in {
        "#model": service.settings.model.name,
        "#note-rate": f"{found('nnstream_events_total'):,.0f} in all",
        "#tile-score": f"{100 * found('nnstream_score', metric='accuracy', of='model'):.1f} %",
        "#tile-lag": "0",
        "#tile-letters": f"{sum(letters):.0f}",
        "#fact-learned": f"{found('nnstream_model_version'):,.0f}",
    }.items():
        expect(page.locator(selector)).to_have_text(words)
    assert len(letters) >= len(BAD)
    for problem in ("not_json", "features", "empty"):
        shown = text(page, f"[data-problem={problem}]")
        assert float(shown) == found("nnstream_dead_letters_total", problem=problem)
    assert float(text(page, "#tile-loss")) == pytest.approx(found("nnstream_loss"), rel=1e-3)
    size = found("nnstream_checkpoint_bytes") / 1024
    written = re.compile(rf"^{size:.{1 if size < 100 else 0}f} KiB, ")
    expect(page.locator("#fact-checkpoint")).to_have_text(written)  # the page may not know the newest one yet
    best = max(found("nnstream_score", metric="accuracy", of=name) for name in ("no_change", "majority"))
    lead = 100 * (found("nnstream_score", metric="accuracy", of="model") - best)
    assert text(page, "#note-score").replace("−", "-").startswith(f"{lead:+.1f} points against")
    weights = sorted(found.all("nnstream_member_weight"), reverse=True)
    shown = [float(b.split()[0]) / 100 for b in page.locator("#weights-legend b").all_inner_texts()]
    assert shown[:5] == pytest.approx(weights[:5], abs=6e-4)
    assert page.console.problems == []


@pytest.mark.parametrize(
    ("task", "baselines"),
    [
        ("classification", ["repeating the last label", "the most frequent label"]),
        ("regression", ["repeating the last label", "the mean label"]),
    ],
)
def test_a_page_that_was_there_before_the_first_event_shows_the_baselines(new_service, new_page, task, baselines):
    service = new_service({"model": {"task": task}}).start()
    page = new_page(service.url)
    expect(page.locator("#state-text")).to_have_text("Live")
    service.produce(sine(0, 300))
    for each in baselines:
        line = page.locator("#score-chart .u-series", has_text=each)
        expect(line.locator(".u-value")).to_have_text(re.compile(r"\d"))
    assert page.console.problems == []


def test_predictions_and_dead_letters_are_the_published_ones(service, new_page):
    page = live(new_page(at_rest(service).url))
    found = Metrics(service)
    newest = service.predictions(int(found("nnstream_predictions_total")))[0][-1]
    expect(page.locator("#predictions tbody td").first).to_have_text(newest["id"])
    first = page.locator("#predictions tbody tr").first.locator("td").all_inner_texts()
    assert (first[1], first[3]) == (f"{newest['prediction']}", f"{newest['label']}")
    buried = int(sum(found.all("nnstream_dead_letters_total")))
    letters = service.kafka.read(service.topics["dead_letters"], buried)[0]
    reasons = [json.loads(letter.headers[-1][1])["reason"] for letter in letters]
    assert page.locator("#letters .why").all_inner_texts() == reasons[:-7:-1]
    cells = page.locator(".confusion td:not(.recall)").all_inner_texts()
    assert sum(int(cell) for cell in cells if cell) == service.settings.monitor.window


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_nothing_is_wider_than_the_screen(service, new_page, width, theme):
    page = live(new_page(service.url, width, theme))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for box in page.locator(".card, .tile, header.top").all():
        area = box.bounding_box()
        assert area is None or (area["x"] >= 0 and area["x"] + area["width"] <= width)


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_inaccessible(service, new_page, theme):
    page = live(new_page(service.url, color_scheme=theme))
    violations = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"]) for each in violations] == []


def test_every_control_is_reached_and_worked_by_keyboard(service, new_page):
    page = live(new_page(service.url))
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = ["skip", "range", "pause", "theme", "alerts", "predictions", "letters"]
    assert [each for each in reached if each in wanted][: len(wanted)] == wanted
    page.locator("#pause").press("Enter")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    assert text(page, "#pause") == "Resume"


def test_the_theme_can_be_switched_and_is_remembered(service, new_page):
    page = live(new_page(service.url, color_scheme="light"))
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark != light
    assert page.console.problems == []


def test_a_drift_draws_its_mark(service, new_page):
    page = live(new_page(service.url))
    known = page.locator("#loss-chart .mark").count()
    drift_at = service.kafka.end_offsets(service.topics["events"])[0]
    service.produce(lost(AFTER))
    expect(page.locator("#loss-chart .mark").nth(known)).to_be_attached()
    counted = int(sum(Metrics(service).all("nnstream_drift_alerts_total")))
    alerts = [json.loads(record.value) for record in service.kafka.read(service.topics["alerts"], counted)[0]]
    marked = [int(mark.get_attribute("data-offset")) for mark in page.locator("#loss-chart .mark").all()]
    assert set(marked) <= {alert["source"]["offset"] for alert in alerts}
    assert any(drift_at <= offset < drift_at + AFTER for offset in marked), (drift_at, marked)
    expect(page.locator("#tile-alerts")).to_have_text(f"{counted}")
    assert page.console.problems == []


def test_paused_numbers_stand_still(service, new_page):
    page = live(new_page(service.url))
    page.locator("#pause").click()
    before = text(page, "#note-rate")
    done = sum(service.kafka.end_offsets(service.topics["events"]).values())
    service.produce(sine(0, 50))
    service.wait_committed(done + 50)
    page.wait_for_timeout(1200)
    assert text(page, "#note-rate") == before
    page.locator("#pause").click()
    expect(page.locator("#note-rate")).not_to_have_text(before)


def test_what_comes_from_kafka_is_text(service, new_page):
    page = live(new_page(service.url))
    done = sum(service.kafka.end_offsets(service.topics["events"]).values())
    evil = "<img src=x onerror=alert(1)>"
    service.produce([{"id": evil, "features": {"x": 1.0}, "label": 1}, {"features": {evil: {}}}])
    service.wait_committed(done + 2)
    expect(page.locator("#predictions")).to_contain_text("onerror")
    expect(page.locator("#letters")).to_contain_text("onerror")
    assert page.locator("main img").count() == 0
    assert page.console.problems == []


def test_an_unreachable_broker_and_a_silent_service_show(own_kafka_broker, compiled, tmp_path, unique, new_page):
    kafka = Kafka(own_kafka_broker.bootstrap_servers)
    service = Service(kafka, tmp_path, unique("outage"))
    try:
        service.start()
        page = new_page(service.url)
        expect(page.locator("#state-text")).to_have_text("Live")
        own_kafka_broker.kill()
        expect(page.locator("#state-text")).to_have_text("Kafka unreachable")
        assert own_kafka_broker.bootstrap_servers in text(page, "#banner")
        wait_until(lambda: Metrics(service)("nnstream_broker_reachable") == 0, "the metric")
        own_kafka_broker.start()
        expect(page.locator("#state-text")).to_have_text("Live")
        assert page.locator("#banner").is_hidden()
        service.kill()
        expect(page.locator("#state-text")).to_have_text("No answer")
        assert "tries again" in text(page, "#banner")
    finally:
        service.kill()
        kafka.close()
