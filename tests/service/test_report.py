"""The static report: what it tells of given records, and that it is one well-formed page."""

import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import app
from service.datasets import find_dataset, read_csv
from service.errors import DataError
from service.evaluate import evaluate
from service.report.moments import moment_ms
from service.report.page import page
from service.report.story import Records, tell
from service.report.svg import Line, line_chart, nice_ticks
from service.settings import settings_from
from service.wiring import model_spec

pytestmark = pytest.mark.usefixtures("own_logs")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def prediction(offset, said, label=None, partition=0, loss=None, **more):
    body = {"id": f"{partition}-{offset}", "ts": 1_000 * offset + partition, "prediction": said,
            "probabilities": {"a": 0.25, "b": 0.75}, "model": {"name": "m", "version": offset},
            "source": {"topic": "events", "partition": partition, "offset": offset}}  # fmt: skip
    if label is not None:
        body["label"] = label
    if loss is not None:
        body["loss"] = loss
    return body | more


def alert(offset, partition=0, **more):
    source = {"topic": "events", "partition": partition, "offset": offset}
    return {"model": "m", "signal": "loss", "detector": "adwin", "source": source, "ts": 1_000 * offset + partition,
            "before": 0.1, "after": 0.9} | more  # fmt: skip


# -- the story


def test_each_partition_is_scored_beside_its_own_baselines():
    records = Records()
    for offset, label in enumerate("aaaa"):
        records.predictions += [prediction(offset, label, label, 0, 0.5), prediction(offset, "a", "b", 1, 1.5)]
    story = tell(records)
    assert story.summary == {"accuracy": 0.5, "loss": 1.0, "baselines": {"no_change": 6 / 8, "majority": 6 / 8}}
    assert (story.events, story.labelled, dict(story.partitions)) == (8, 8, {0: 4, 1: 4})
    assert (story.start_ms, story.end_ms, story.models) == (0, 3001, ["m"])


def test_late_labels_count_with_the_prediction_that_was_published():
    records = Records([prediction(0, "b"), prediction(1, "b"), prediction(2, "b")], {"0-0": "b", "0-2": "a"})
    story = tell(records)
    assert (story.events, story.labelled, story.pairs) == (3, 2, [("b", "b"), ("a", "b")])
    assert story.summary["accuracy"] == 0.5
    assert story.summary["loss"] == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_a_mark_stands_where_its_event_is():
    records = Records([prediction(i, "a", "a", loss=0.1) for i in range(10)], alerts=[alert(7), alert(3)])
    assert [(mark.event, mark.alert["source"]["offset"]) for mark in tell(records).marks] == [(3, 3), (7, 7)]


def test_a_mark_between_events_stands_by_its_time():
    records = Records([prediction(i, "a", "a", loss=0.1) for i in (0, 1, 5, 6)], alerts=[alert(3)])
    assert [mark.event for mark in tell(records).marks] == [2]


def test_numbers_are_a_regression():
    bodies = [prediction(i, 2.0 * i, 2.0 * i + 1, loss=0.5) for i in range(5)]
    for body in bodies:
        del body["probabilities"]
    story = tell(Records(bodies))
    assert (story.task, story.summary["mae"]) == ("regression", 1.0)
    assert "mean absolute error" in page(story, "t").lower()


def test_curves_are_means_of_bins_and_cover_everything():
    rng = np.random.default_rng(0)
    right = rng.random(1003) < 0.7
    bodies = [prediction(i, "a" if ok else "b", "a", loss=float(i)) for i, ok in enumerate(right)]
    curves = tell(Records(bodies)).curves
    sizes = np.diff([0, *curves.event])
    assert curves.event[-1] == 1003
    assert (curves.score * sizes).sum() == pytest.approx(right.sum())
    assert (curves.loss * sizes).sum() == pytest.approx(1003 * 1002 / 2)


# -- the page


class Tags(HTMLParser):
    """Every tag is closed, and nothing is loaded."""

    VOID = ("meta", "line", "path", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not {"src", "href", "onerror", "onload"} & {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, _attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def hostile():
    """A story whose every text would like to be HTML."""
    bodies = [prediction(i, EVIL, EVIL, loss=0.1) for i in range(5)]
    for body in bodies:
        body["model"]["name"] = EVIL
    letter = {"problem": "features", "reason": EVIL, "source": {"topic": "events", "partition": 0, "offset": 9}}
    return tell(Records(bodies, alerts=[alert(2, feature=EVIL)], dead_letters=[letter]))


def test_the_page_is_well_formed_loads_nothing_and_shows_texts_as_texts(hostile):
    parser = Tags()
    text = page(hostile, EVIL)
    parser.feed(text)
    assert parser.open == []
    assert "script" not in parser.seen
    assert "&lt;script&gt;" in text
    assert "http" not in text


def test_an_empty_stretch_is_a_page_too():
    parser = Tags()
    parser.feed(page(tell(Records()), "nothing"))
    assert parser.open == []


def test_an_alert_without_means_can_be_shown():
    records = Records([prediction(0, "a", "a")], alerts=[alert(0, before=None, after=None, feature="colour")])
    assert "colour" in page(tell(records), "t")


# -- the charts


def test_a_chart_has_its_lines_marks_and_gaps():
    x = np.arange(1.0, 6.0)
    lines = [Line("model", np.array([0.1, 0.2, np.nan, 0.4, 0.3]), "a")]
    chart = line_chart("title", x, lines, [(2.0, "drift of <x>")], str)
    svg = ET.fromstring(chart.partition("</svg>")[0] + "</svg>")  # noqa: S314  # our own
    assert svg.get("aria-label") == "title"
    (path,) = (each for each in svg.iter("path") if "line" in each.get("class", ""))
    assert len(re.findall("M", path.get("d"))) == 2
    assert len(re.findall("L", path.get("d"))) == 2
    assert [each.text for each in svg.iter("title")] == ["drift of <x>"]


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.4, 1.0), (-3, 7), (0.97, 0.99), (5, 5), (0, 0), (1e-9, 3e-9), (-1e6, 1e9)]
)
def test_ticks_are_few_and_enclose_the_values(low, high):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-9 * abs(low)
    assert ticks[-1] >= high - 1e-9 * abs(high)
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-3)


# -- moments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("1.5d", NOW - timedelta(days=1.5)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("2026-11-01T10:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ],
)
def test_moments(text, expected):
    assert moment_ms(text, NOW) == expected.timestamp() * 1000


def test_what_is_no_moment_is_refused():
    with pytest.raises(DataError, match=r"'yesterday' is no moment; .*90m"):
        moment_ms("yesterday", NOW)


# -- the command


def test_a_file_tells_the_same_score_as_evaluate(tmp_path):
    csv = tmp_path / "bananas.csv"
    rows = [(*features.values(), label) for features, label in find_dataset("bananas").open()][:1500]
    csv.write_text("x,y,kind\n" + "\n".join(",".join(map(str, row)) for row in rows))
    out = tmp_path / "report.html"
    config = tmp_path / "small.yaml"
    config.write_text("model: {learner: network}")
    done = CliRunner().invoke(
        app, ["report", str(config), "--csv", str(csv), "--label", "kind", "--out", str(out)], catch_exceptions=False
    )
    assert done.exit_code == 0
    spec = model_spec(settings_from({"model": {"learner": "network"}}).model)
    summary = evaluate(read_csv(csv, "kind"), spec)
    text = out.read_text()
    assert f"<dt>accuracy</dt><dd>{summary['accuracy']:.2%}</dd>" in text
    assert f"<dt>repeating the last label</dt><dd>{summary['baselines']['no_change']:.2%}</dd>" in text
    assert "What happened on bananas.csv" in text
    assert "UTC" not in text


REFUSED = {
    "two sources": (["--csv", "a.csv", "--label", "y", "--dataset", "bananas"], "either"),
    "no label": (["--csv", "a.csv"], "which column"),
    "from of a file": (["--dataset", "bananas", "--from", "2h"], "--from and --to belong to topics"),
    "limit of topics": (["--limit", "5"], "belong to a file"),
    "a stream without end": (["--dataset", "sine-drift"], "give --limit"),
    "nowhere to write": (["--dataset", "phishing", "--limit", "20", "--out", "/nowhere/x.html"], "cannot be written"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_reported_is_said(name):
    arguments, words = REFUSED[name]
    with pytest.raises(DataError, match=words):
        CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)


def test_a_regression_is_drawn_as_points(tmp_path):
    out = tmp_path / "r.html"
    done = CliRunner().invoke(app, ["report", "--dataset", "chick-weights", "--out", str(out), "--title", "Chicks"])
    assert done.exit_code == 0
    assert "<h1>Chicks</h1>" in out.read_text()
    assert 'class="scatter"' in out.read_text()
