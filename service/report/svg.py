"""Charts as SVG text: no script, no network, and readable when printed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 240, 56, 30, 14, 26
_TICKS = 4
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Line:
    """A series.

    Attributes:
        name: in the legend.
        values: float64 (n,); NaN leaves a gap.
        style: class of the stylesheet.
    """

    name: str
    values: Values
    style: str


def line_chart(
    title: str, x: Values, lines: Sequence[Line], marks: Sequence[tuple[float, str]], show: Callable[[float], str]
) -> str:
    """Return a chart of lines over the number of events.

    Args:
        title: for those who cannot see it.
        x: float64 (n,), increasing.
        lines: over x.
        marks: place and words of vertical lines.
        show: writes a value of the y axis.
    """
    finite = np.concatenate([line.values[np.isfinite(line.values)] for line in lines] or [np.zeros(0)])
    if not len(finite):
        return '<p class="empty">Nothing to draw: no labelled event.</p>'
    ticks = nice_ticks(float(finite.min()), float(finite.max()))
    low, high, last = min(ticks[0], float(finite.min())), max(ticks[-1], float(finite.max())), float(x[-1])

    def at_x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / last

    def at_y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in ticks:
        y = at_y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(show(tick))}</text>')
    below = [tick for tick in nice_ticks(0.0, last) if tick <= last]
    parts += [
        f'<text x="{at_x(tick):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{tick:,.0f}</text>' for tick in below
    ]
    for place, words in marks:
        at = f"{at_x(place):.1f}"
        parts.append(f'<g class="mark"><title>{escape(words)}</title>')
        parts.append(f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<path d="M{at},{_TOP} l-5,-8 h10 z"/></g>')
    parts += [f'<path class="line {line.style}" d="{_path(x, line.values, at_x, at_y)}"/>' for line in lines]
    return "".join([*parts, "</svg>", legend(lines)])


def legend(lines: Sequence[Line]) -> str:
    """Return which line is which."""
    items = (f'<li><i class="{line.style}"></i>{escape(line.name)}</li>' for line in lines)
    return f'<ul class="legend">{"".join(items)}</ul>'


def nice_ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers from just below `low` to just above `high`."""
    span = high - low or abs(high) or 1.0
    rough = span / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(each * power for each in _STEPS if each * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def _path(x: Values, y: Values, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> str:
    parts, drawing = [], False
    for value, height in zip(x.tolist(), y.tolist(), strict=True):
        if not math.isfinite(height):
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{at_x(value):.1f},{at_y(height):.1f}")
        drawing = True
    return "".join(parts)


def scatter(title: str, pairs: Sequence[tuple[float, float]]) -> str:
    """Return predictions over labels, beside the line on which there is no error."""
    points = np.array(pairs, np.float64)
    low, high = float(points.min()), float(points.max())
    span = high - low or 1.0
    size, edge = 360, 10
    scaled = edge + (size - 2 * edge) * (points - low) / span
    dots = "".join(f'<circle cx="{a:.1f}" cy="{size - b:.1f}" r="2.5"/>' for a, b in scaled.tolist())
    line = f'<line class="even" x1="{edge}" y1="{size - edge}" x2="{size - edge}" y2="{edge}"/>'
    return (
        f'<svg class="scatter" viewBox="0 0 {size} {size}" role="img" aria-label="{escape(title)}">{line}{dots}</svg>'
    )
