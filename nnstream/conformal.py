"""How sure a prediction is: sets and intervals that hold the label as often as asked, also while the world drifts.

A conformity score says how strange a label is beside its prediction: 1 - p(label) for a class, and |label -
prediction| over its running mean for a number. A set holds every label whose score is at most the k-th smallest of
the last `window` scores, k = ⌈(1 - α_t)(n + 1)⌉. Were the stream exchangeable, α_t = α = 1 - confidence would do
(Vovk et al. 2005). It drifts; so α_t follows the excess E_t = misses so far - α · events so far:

    α_t / (1 - α_t) = α / (1 - α) · ((K - E_t) / (K + E_t))²,    α_t = 0 for E_t ≥ K, 1 for E_t ≤ -K

which is adaptive conformal inference (Gibbs & Candès 2021) with the saturating error integrator of Angelopoulos,
Candès & Tibshirani 2023 (conformal PID control). While E_t lies within ±(K + 1) - which an empty and a full set
enforce, whatever the stream does - the coverage over ANY n events in a row is within (2 K + 2) / n of what was
asked. From E_t = K / 2 on a set reaches beyond the largest score of the window, so no interval is infinite.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.kernels import conformal as at
from nnstream.kernels.conformal import reach_now, walk
from nnstream.labels import Label
from nnstream.outcome import Outcome, Segment
from nnstream.state import check_like

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Interval = tuple[float, float]
Region = Interval | list[Label]
SLACK = 40.0


class Late(NamedTuple):
    """What was published about the event whose label came now.

    Attributes:
        residual: of the label, beside that prediction; see `Conformal.residuals`.
        covered: whether the published region held the label; None where none was published, or where the event lies
            in the same block.
        event: its row in the same block; None where it lies before.
    """

    residual: float
    covered: bool | None = None
    event: int | None = None


class Ring:
    """The mean of the newest `size` numbers.

    Args:
        size: how many it looks back.
    """

    def __init__(self, size: int) -> None:
        self._numbers = np.zeros(size)
        self._count = np.zeros(1, np.int64)

    def add(self, numbers: Array) -> None:
        """Append numbers, (n,)."""
        kept = numbers[-len(self._numbers) :]
        start = int(self._count[0]) + len(numbers) - len(kept)
        self._numbers[(start + np.arange(len(kept))) % len(self._numbers)] = kept
        self._count += len(numbers)

    def mean(self) -> float:
        """Return the mean; NaN before the first number."""
        known = self._numbers[: int(self._count[0])]
        return float(known.mean()) if len(known) else float("nan")

    def state(self) -> dict[str, Array]:
        """Return the arrays; not copies."""
        return {"numbers": self._numbers, "count": self._count}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave."""
        self._numbers, self._count = arrays["numbers"].copy(), arrays["count"].copy()


class Conformal:
    """Adaptive conformal prediction sets (classification) or intervals (regression) for one stream.

    Blocks of events go through `observe`, with the labels that are at hand and with those that came late.

    Args:
        confidence: share of labels the sets are to hold, within (0, 1).
        regression: whether labels are numbers.
        window: newest scores that the reach is taken from.
        recent: newest events that `coverage` and `size` look back.

    Example:
        >>> from nnstream.model import Model, ModelSpec
        >>> rows = [{"x": i % 7 / 7} for i in range(2000)]
        >>> labels = [3 * row["x"] + (i * 7919 % 100) / 100 for i, row in enumerate(rows)]
        >>> outcome = Model(ModelSpec(task="regression")).predict_then_learn(rows, labels)
        >>> conformal = Conformal(0.9, regression=True)
        >>> regions = conformal.observe(outcome, labels)
        >>> held = sum(low <= y <= high for (low, high), y in zip(regions[20:], labels[20:]))
        >>> round(held / 1980, 2)
        0.9
    """

    def __init__(self, confidence: float, *, regression: bool, window: int = 500, recent: int = 5000) -> None:
        if not 0 < confidence < 1:
            raise SpecError(f"confidence must lie between 0 and 1, for example 0.9, not {confidence}")
        if window * round(1.0 - confidence, 12) < 1:
            raise SpecError(
                f"a confidence of {confidence} needs a window of at least {1 / (1 - confidence):.0f}, not {window}"
            )
        self.confidence = confidence
        self.regression = regression
        self._alpha = round(1.0 - confidence, 12)  # 0.1, not the 0.09999999999999998 that is left of 1 - 0.9
        self._ring, self._ascending = np.zeros(window), np.zeros(window)
        self._counts, self._scale = np.zeros(3, np.int64), np.zeros(2)
        self._hits, self._sizes = Ring(recent), Ring(recent)

    # -- at the prediction

    @property
    def reach(self) -> float:
        """Return how strange a label the next set holds; NaN until there are 1 / (1 - confidence) labels.

        For a regression half the width of the interval, for a classification the largest 1 - p.
        """
        reach: float = reach_now(self._alpha, SLACK, self.regression, self._ascending, self._counts, self._scale)
        return reach

    def regions(self, segment: Segment, reaches: npt.ArrayLike | None = None) -> list[Region | None]:
        """Return the region of each prediction.

        Args:
            segment: what was predicted.
            reaches: of each; None takes `reach` for all.

        Returns:
            (lower, upper), or a list of classes; None where nothing was predicted, or nothing can be promised yet.
        """
        outputs = segment.outputs.astype(np.float64)
        reaches = np.broadcast_to(self.reach if reaches is None else np.asarray(reaches), len(outputs))
        if outputs.shape[1] == 0:
            return [None] * len(outputs)
        if self.regression:
            low, high = outputs[:, 0] - reaches, outputs[:, 0] + reaches
            there = np.isfinite(high - low).tolist()
            pairs = zip(low.tolist(), high.tolist(), strict=True)
            return [pair if known else None for pair, known in zip(pairs, there, strict=True)]
        within = (1.0 - outputs <= reaches[:, None]).tolist()
        return [
            None if missing else [label for label, held in zip(segment.classes, row, strict=True) if held]
            for row, missing in zip(within, np.isnan(reaches).tolist(), strict=True)
        ]

    # -- at the label

    def residuals(self, segment: Segment, labels: Sequence[Label | None]) -> Doubles:
        """Return how strange each label is beside its prediction, float64 (n,).

        Args:
            segment: what was published.
            labels: one a row of the segment; None gives NaN, and a class that was not known then infinity.
        """
        outputs = segment.outputs.astype(np.float64)
        missing = np.array([label is None for label in labels], np.bool_)
        if self.regression:
            away = np.abs(outputs[:, 0] - np.array([_number(label) for label in labels]))
            return np.where(missing, np.nan, np.where(np.isnan(away), np.inf, away))
        column = {(_kind(label), label): k for k, label in enumerate(segment.classes)}
        places = np.array([-1 if label is None else column.get((_kind(label), label), -1) for label in labels])
        found = np.full(len(places), np.inf)
        known = np.flatnonzero(places >= 0)
        found[known] = 1.0 - outputs[known, places[known]]
        found[missing] = np.nan
        return found

    # -- in the stream

    def observe(
        self, outcome: Outcome, labels: Sequence[Label | None], late: Mapping[int, Late | None] | None = None
    ) -> list[Region | None]:
        """Return the region of each event of a block, and learn from each label, in log order.

        An event's region is given by the labels before it. What a label is scored by is the region that was published
        with its event, however long ago.

        Args:
            outcome: what `Model.predict_then_learn` gave.
            labels: of all rows of the block; None where it is not known.
            late: rows that bring the label of an earlier event, and what was published about that; or None for a row
                that is neither an event nor to be scored.

        Returns:
            One a row of the block; None for an event that was refused, for a row of `late`, and until there were
            1 / (1 - confidence) labels.
        """
        count = len(outcome.losses)
        residuals, values, centres = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count)
        kinds = np.zeros(count, np.int64)
        sources, covered = np.full(count, -1, np.int64), np.full(count, at.UNPUBLISHED, np.int64)
        events = [_without(segment, late or {}) for segment in outcome.segments]
        events = [segment for segment in events if segment.rows and segment.outputs.shape[1]]
        for segment in events:
            own = self.residuals(segment, [labels[i] for i in segment.rows])
            residuals[segment.rows] = values[segment.rows] = own
            if self.regression:
                centres[segment.rows] = segment.outputs[:, 0]
                values[segment.rows] = [_number(labels[i]) for i in segment.rows]
            kinds[segment.rows] = np.where(np.isnan(own), at.PREDICTED, at.LABELLED)
        for i, each in (late or {}).items():
            if each is not None:
                residuals[i], kinds[i] = each.residual, at.LATE
                values[i] = _number(labels[i]) if self.regression else each.residual
                sources[i] = -1 if each.event is None else each.event
                covered[i] = at.UNPUBLISHED if each.covered is None else int(each.covered)
        reaches = np.full(count, np.nan)
        walk(
            residuals, centres, values, kinds, sources, self._alpha, SLACK, self.regression, self._ring,
            self._ascending, self._counts, self._scale, reaches, covered,
        )  # fmt: skip
        self._hits.add(covered[covered != at.UNPUBLISHED])
        regions: list[Region | None] = [None] * count
        for segment in events:
            for i, region in zip(segment.rows, self.regions(segment, reaches[segment.rows]), strict=True):
                regions[i] = region
        self._sizes.add(np.array([self._size(region) for region in regions if region is not None], np.float64))
        return regions

    def _size(self, region: Region) -> float:
        return float(region[1] - region[0]) if self.regression else len(region)

    # -- what it was worth

    @property
    def scored(self) -> int:
        """Return how many regions were scored."""
        return int(self._counts[at.SCORED])

    @property
    def coverage(self) -> float:
        """Return the share of the newest regions that held their label; NaN before the first."""
        return self._hits.mean()

    @property
    def size(self) -> float:
        """Return the mean width of the newest intervals, or the mean number of classes in the newest sets."""
        return self._sizes.mean()

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {"confidence": self.confidence}

    def state(self) -> dict[str, Array]:
        """Return all arrays of state; not copies."""
        own = {"ring": self._ring, "ascending": self._ascending, "counts": self._counts, "scale": self._scale}
        for name, ring in (("hits", self._hits), ("sizes", self._sizes)):
            own |= {f"{name}.{key}": array for key, array in ring.state().items()}
        return own

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take over what `describe` and `state` gave.

        Where another confidence was asked for then, the scores stay and the count of misses begins anew.

        Raises:
            SpecError: an array has another shape or dtype; the message names it.
        """
        check_like(self.state(), arrays)
        self._ring, self._ascending = arrays["ring"].copy(), arrays["ascending"].copy()
        self._counts, self._scale = arrays["counts"].copy(), arrays["scale"].copy()
        for name, ring in (("hits", self._hits), ("sizes", self._sizes)):
            ring.restore({key: arrays[f"{name}.{key}"] for key in ring.state()})
        if description["confidence"] != self.confidence:
            self._counts[[at.SCORED, at.MISSES]] = 0


def _without(segment: Segment, rows: Mapping[int, Any]) -> Segment:
    """Return a segment without some rows."""
    kept = [k for k, i in enumerate(segment.rows) if i not in rows] if rows else range(len(segment.rows))
    if len(kept) == len(segment.rows):
        return segment
    return Segment([segment.rows[k] for k in kept], segment.outputs[kept], segment.classes)


def _number(label: Label | None) -> float:
    return np.nan if label is None else float(label)


def _kind(label: Label) -> type:
    """Return what keeps 1, "1" and true apart, but not 1 and 1.0."""
    if isinstance(label, bool | np.bool_):
        return bool
    return str if isinstance(label, str) else int
