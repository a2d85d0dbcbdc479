"""The page: one file of HTML that needs nothing else. Whatever comes from the stream is escaped."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from nnstream import __version__
from nnstream.schema import category_text
from service.report.story import Mark, Story
from service.report.svg import Line, line_chart, scatter

_CSS = Path(__file__).with_name("report.css")
_NAMES = {
    "accuracy": "accuracy",
    "mae": "mean absolute error",
    "no_change": "repeating the last label",
    "majority": "the most frequent label",
    "mean": "the mean label",
}
_CLASSES, _POINTS, _ALERTS = 12, 1_500, 200


def page(story: Story, title: str) -> str:
    """Return the report as HTML."""
    sections = [
        _section(f"{_NAMES[_score(story)].capitalize()} beside its baselines", _score_chart(story)),
        _section("Loss, and drift alerts", _loss_chart(story)),
        _section(f"Drift alerts ({len(story.marks)})", _alerts(story)),
        _section("Labels against predictions", _outcomes(story)),
        _section(f"Dead letters ({story.problems.total():,})", _letters(story)),
        _section("Partitions", _table(("partition", "events"), sorted(story.partitions.items()))),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS.read_text(encoding='utf-8')}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{_span(story)}</header>{_tiles(story)}<main>{''.join(sections)}</main>"
        f'<p class="muted">made by nnstream {__version__}</p></body></html>\n'
    )


def _score(story: Story) -> str:
    return "accuracy" if story.task == "classification" else "mae"


def _show(story: Story, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.2%}" if story.task == "classification" else f"{value:,.4g}"


def _span(story: Story) -> str:
    models = escape(", ".join(story.models) or "no model")
    if story.start_ms is None or story.end_ms is None:
        return f'<p class="muted">{story.task} by {models}</p>'
    return f'<p class="muted">{story.task} by {models}, {_moment(story.start_ms)} to {_moment(story.end_ms)}</p>'


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _tiles(story: Story) -> str:
    score, baselines = story.summary[_score(story)], story.summary["baselines"]
    tiles = {
        "events": f"{story.events:,}",
        "with a label": f"{story.labelled:,}",
        _NAMES[_score(story)]: _show(story, score),
        **{_NAMES[name]: _show(story, value) for name, value in baselines.items()},
        "mean loss": "–" if math.isnan(story.summary["loss"]) else f"{story.summary['loss']:.4g}",
        "drift alerts": f"{len(story.marks):,}",
        "dead letters": f"{story.problems.total():,}",
    }
    return (
        f'<dl class="tiles">{"".join(f"<div><dt>{escape(k)}</dt><dd>{v}</dd></div>" for k, v in tiles.items())}</dl>'
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _score_chart(story: Story) -> str:
    lines = [Line("model", story.curves.score, "a")]
    styles = zip(story.curves.baselines.items(), "bc", strict=True)
    lines += [Line(_NAMES[name], values, style) for (name, values), style in styles]
    show = (lambda y: f"{y:.0%}") if story.task == "classification" else (lambda y: f"{y:,.3g}")
    return line_chart("score beside its baselines, by labelled events", story.curves.event, lines, [], show)


def _loss_chart(story: Story) -> str:
    marks = [
        (float(mark.event), f"{_what(mark)} at offset {mark.alert['source']['offset']:,}") for mark in story.marks
    ]
    line = Line("mean loss", story.curves.loss, "a")
    return line_chart("loss by labelled events", story.curves.event, [line], marks, lambda y: f"{y:,.3g}")


def _what(mark: Mark) -> str:
    return str(mark.alert.get("feature") or mark.alert["signal"])


def _alerts(story: Story) -> str:
    marks = story.marks
    if not marks:
        return '<p class="empty">None.</p>'
    rows = [
        (
            "–" if story.start_ms is None else _moment(mark.alert["ts"]),
            _what(mark),
            mark.alert["detector"],
            _number(mark.alert.get("before")),
            _number(mark.alert.get("after")),
            mark.alert["source"]["partition"],
            mark.alert["source"]["offset"],
        )
        for mark in marks[:_ALERTS]
    ]
    more = f'<p class="muted">and {len(marks) - _ALERTS:,} more</p>' if len(marks) > _ALERTS else ""
    return _table(("when", "what", "detector", "before", "after", "partition", "offset"), rows) + more


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"


def _outcomes(story: Story) -> str:
    pairs = [(label, prediction) for label, prediction in story.pairs if prediction is not None]
    if not pairs:
        return '<p class="empty">No labelled event was predicted.</p>'
    if story.task == "regression":
        thinned = pairs[:: max(1, len(pairs) // _POINTS)]
        return scatter("predictions over labels", thinned) + '<p class="muted">true label →, prediction ↑</p>'
    return _confusion(Counter((category_text(label), category_text(said)) for label, said in pairs))


def _confusion(counts: Counter[tuple[str, str]]) -> str:
    frequent: Counter[str] = Counter()
    for (label, prediction), count in counts.items():
        frequent[label] += count
        frequent[prediction] += count
    names = sorted(name for name, _ in frequent.most_common(_CLASSES))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(
            f'<td class="{"hit" if label == prediction else "miss"}">{counts[label, prediction]:,}</td>'
            for prediction in names
        )
        + "</tr>"
        for label in names
    )
    shown = sum(counts[a, b] for a in names for b in names)
    rest = (
        f'<p class="muted">{counts.total() - shown:,} events of rarer classes</p>' if shown < counts.total() else ""
    )
    return (
        '<div class="scroll"><table class="confusion"><caption>rows: true label, columns: prediction</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>{rest}"
    )


def _letters(story: Story) -> str:
    if not story.problems:
        return '<p class="empty">None: every event was usable.</p>'
    newest = [(letter["problem"], letter["reason"], letter["source"]["offset"]) for letter in story.reasons]
    return _table(("problem", "events"), story.problems.most_common()) + _table(
        ("newest", "reason", "offset"), newest
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'


def _cell(value: Any) -> str:
    return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{escape(str(value))}</td>"
