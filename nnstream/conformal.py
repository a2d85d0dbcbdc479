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
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.kernels import conformal as at
from nnstream.kernels.conformal import learn_late, reach_now, walk
from nnstream.labels import Label
from nnstream.outcome import Outcome, Segment
from nnstream.state import check_like

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Interval = tuple[float, float]
Region = Interval | list[Label]
SLACK = 40.0


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

    Events whose label is at hand go through `observe`. Where labels come later, publish `region(…)` of `reach` with
    the prediction, keep that reach, and hand both to `update` when the label is there: what is scored is always the
    set that was published.

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
        >>> held = sum(low <= y <= high for (low, high), y in zip(regions[10:], labels[10:]))
        >>> round(held / 1990, 2)
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
        reach: float = reach_now(
            self._alpha, SLACK, self.regression, self._ascending, self._counts, self._scale
        )  # fmt: skip
        return reach

    def predict(self, segment: Segment) -> list[Region | None]:
        """Return the region of each prediction by what is known now; each of them has the reach `reach`."""
        return self._noted(self._regions(segment, self.reach))

    def _regions(self, segment: Segment, reaches: Any) -> list[Region | None]:
        """Return regions from the reach of each event; None where there is no reach, or nothing was predicted."""
        outputs = segment.outputs.astype(np.float64)
        reaches = np.broadcast_to(reaches, len(outputs))
        if outputs.shape[1] == 0:
            return [None] * len(outputs)
        if self.regression:
            low, high = (outputs[:, 0] - reaches).tolist(), (outputs[:, 0] + reaches).tolist()
            return [pair if pair[0] == pair[0] else None for pair in zip(low, high, strict=True)]
        within = (1.0 - outputs <= reaches[:, None]).tolist()
        missing = np.isnan(reaches).tolist()
        return [
            None if none else [label for label, held in zip(segment.classes, row, strict=True) if held]
            for row, none in zip(within, missing, strict=True)
        ]

    def _noted(self, regions: list[Region | None]) -> list[Region | None]:
        """Take in the sizes of regions that are published."""
        there = [region for region in regions if region is not None]
        if self.regression:
            self._sizes.add(np.array([high - low for low, high in there]))
        else:
            self._sizes.add(np.array([len(region) for region in there], np.float64))
        return regions

    # -- at the label

    def residuals(self, segment: Segment, labels: Sequence[Label | None]) -> Doubles:
        """Return how strange each label is beside its prediction, float64 (n,).

        Args:
            segment: what was published.
            labels: one a row of the segment; None gives NaN, and a class that was not known then infinity.
        """
        outputs = segment.outputs.astype(np.float64)
        if self.regression:
            numbers = np.array([np.nan if label is None else float(label) for label in labels])
            away = np.abs(outputs[:, 0] - numbers)
            return np.where(np.isnan(away) & ~np.isnan(numbers), np.inf, away)
        column = {(_kind(label), label): k for k, label in enumerate(segment.classes)}
        places = [-1 if label is None else column.get((_kind(label), label), -1) for label in labels]
        found = np.full(len(places), np.inf)
        at_hand = np.array(places) >= 0
        found[at_hand] = 1.0 - outputs[at_hand, np.array(places)[at_hand]]
        found[[label is None for label in labels]] = np.nan
        return found

    def update(self, residuals: npt.ArrayLike, reaches: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Learn from labels that came after their predictions, in the order in which they came.

        Args:
            residuals: (n,), see `residuals`.
            reaches: (n,), the reach each was published with; NaN where there was none yet.

        Returns:
            bool (n,): whether the published region held the label.
        """
        own, published = np.array(residuals, np.float64, ndmin=1), np.array(reaches, np.float64, ndmin=1)
        covered = np.zeros(len(own), np.bool_)
        learn_late(
            own, published, self.regression, self._ring, self._ascending, self._counts, self._scale, covered
        )  # fmt: skip
        self._hits.add(covered[~np.isnan(published)])
        return covered

    # -- both at once

    def observe(self, outcome: Outcome, labels: Sequence[Label | None]) -> list[Region | None]:
        """Return the region of each event of a block, by the labels before it; learn from its label, in log order.

        Args:
            outcome: what `Model.predict_then_learn` gave.
            labels: of all events of the block; None where it is not known.

        Returns:
            One a row of the block: (lower, upper), or a list of classes; None for an event that was refused, and
            until there were 1 / (1 - confidence) labels.
        """
        regions: list[Region | None] = [None] * len(outcome.losses)
        for segment in outcome.segments:
            if segment.outputs.shape[1] == 0:
                continue
            own = [labels[i] for i in segment.rows]
            residuals = self.residuals(segment, own)
            known, reaches = np.array([label is not None for label in own], np.bool_), np.empty(len(own))
            covered = np.zeros(len(own), np.bool_)
            walk(
                residuals, known, self._alpha, SLACK, self.regression, self._ring, self._ascending, self._counts,
                self._scale, reaches, covered,
            )  # fmt: skip
            self._hits.add(covered[known & ~np.isnan(reaches)])
            for i, region in zip(segment.rows, self._noted(self._regions(segment, reaches)), strict=True):
                regions[i] = region
        return regions

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


def _kind(label: Label) -> type:
    """Return what keeps 1, "1" and true apart, but not 1 and 1.0."""
    if isinstance(label, bool | np.bool_):
        return bool
    return str if isinstance(label, str) else int
