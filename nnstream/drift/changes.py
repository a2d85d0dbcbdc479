"""Series of numbers side by side, a number a block, each watched by a detector of its own.

A detector sees the normal score of each number: Φ⁻¹ of its rank among the last 256 of its series (van der Waerden
scores; sequential ranks: Parent 1965, Gordon & Pollak 1994). On a stream that does not change, ranks are uniform
whatever the distribution, so a rate of false alarms can be promised. After a change the series begins anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.drift.detectors import KINDS, DetectorSpec
from nnstream.drift.plain import from_plain, to_plain
from nnstream.kernels.summaries import rank, smooth

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

HISTORY = 256  # numbers of a series that a new one is ranked among
WARM_UP = 16  # below so many a rank says too little
RENEWED_AFTER = 512
_UNUSUAL = 1.0  # a score above it counts as unusual for a detector of zeros and ones: 16 % are
_UNUSUAL_BOTH_WAYS = 1.4100  # the same share, of scores away from 0
_RECENT = 1 / 16  # weight of a score in the running mean that dashboards see
_GRID = np.linspace(0, 1, 2 * HISTORY + 3)[1:-1]
_SCORES = np.array([NormalDist().inv_cdf(share) for share in _GRID])


@dataclass(frozen=True)
class Change:
    """A series is no longer what it was.

    Attributes:
        series: index of the series.
        before: mean before the change.
        after: mean since.
        blocks: how many blocks ago it began, as far as can be said.
        distance: Kolmogorov-Smirnov distance between before and since.
        p_value: the detector's own, where it has one.
    """

    series: int
    before: float
    after: float
    blocks: int
    distance: float
    p_value: float | None


class Changes:
    """Watches series for changes, block by block.

    Args:
        spec: the detector that each series has one of.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        self.spec = spec
        self._kind = KINDS[spec.name]
        self._ring = np.full((HISTORY, 0), np.nan)
        self._recent = np.zeros(0)
        self._every: list[float] = []
        self._up_only: list[bool] = []
        self._detectors: list[Any] = []
        self._age: list[int] = []
        self._blocks = 0

    def __len__(self) -> int:
        return len(self._detectors)

    @property
    def shifts(self) -> Vector:
        """Return the running mean of each series' normal scores, float64 (series,): far from 0 where it moved."""
        return self._recent

    def add_series(self, every: float, *, up_only: bool) -> None:
        """Add a series that begins with the next block.

        Args:
            every: blocks between two false alarms.
            up_only: whether only a rise is a change.
        """
        self._ring = np.concatenate([self._ring, np.full((HISTORY, 1), np.nan)], axis=1)
        self._recent = np.append(self._recent, 0.0)
        self._every.append(every)
        self._up_only.append(up_only)
        self._detectors.append(self.spec.detector(every, up_only=up_only))
        self._age.append(0)

    def update(self, numbers: Matrix) -> list[tuple[int, Change]]:
        """Take in blocks: float64 (blocks, series), NaN where one says nothing.

        Returns:
            The changes, each with the index of the block with which it shows, in order.
        """
        found, start = [], 0
        while start < len(numbers):
            before, rest = self._ring.copy(), numbers[start:]
            shares = np.empty(rest.shape)
            rank(self._ring, self._blocks, rest, WARM_UP, shares)
            scores = np.interp(shares, _GRID, _SCORES)
            stop, alarmed = self._first_alarms(scores.tolist())
            smooth(self._recent, scores[:stop], _RECENT)
            if alarmed:  # what follows is ranked anew
                self._ring = before
                for block, each in enumerate(rest[:stop], self._blocks):
                    self._ring[block % HISTORY] = each
            self._blocks += stop
            start += stop
            found += [(start - 1, change) for change in self._confirmed(alarmed)]
        return found

    def _first_alarms(self, scores: list[list[float]]) -> tuple[int, list[int]]:
        """Show the detectors block by block; return how many until one was alarmed, and the series it was of."""
        for block, each in enumerate(scores, 1):
            alarmed = [i for i, score in enumerate(each) if score == score and self._alarmed(i, score)]  # noqa: PLR0124
            if alarmed:
                return block, alarmed
        return len(scores), []

    def _confirmed(self, alarmed: list[int]) -> list[Change]:
        changes = []
        for i in alarmed:
            change = self._describe(i)
            if change.after > change.before or not self._up_only[i]:
                changes.append(change)
                self._begin_anew(i)
        return changes

    def _alarmed(self, i: int, score: float) -> bool:
        detector = self._detectors[i]
        if self._kind.renewed and self._age[i] >= RENEWED_AFTER:
            detector, self._age[i] = self._fresh(i), 0
        self._age[i] += 1
        if self._kind.binary:
            detector.update(score > _UNUSUAL if self._up_only[i] else abs(score) > _UNUSUAL_BOTH_WAYS)
        else:
            detector.update(score)
        return bool(detector.drift_detected)

    def _fresh(self, i: int) -> Any:
        self._detectors[i] = self.spec.detector(self._every[i], up_only=self._up_only[i])
        return self._detectors[i]

    def _begin_anew(self, i: int) -> None:
        self._ring[:, i] = np.nan
        self._recent[i] = 0.0
        self._fresh(i)
        self._age[i] = 0

    def _describe(self, i: int) -> Change:
        """Say where the change lies: the split with the largest standardised difference of means (CUSUM)."""
        past = np.roll(self._ring[:, i], -self._blocks)
        past = past[~np.isnan(past)]
        n, sums = len(past), np.cumsum(past)
        since = np.arange(1, n)
        with np.errstate(invalid="ignore", over="ignore"):
            first = sums[n - 1 - since] / (n - since)
            second = (sums[-1] - sums[n - 1 - since]) / since
            apart = np.abs(second - first) * np.sqrt(since * (n - since))
        k = int(since[np.nanargmax(apart)]) if np.isfinite(apart).any() else 1
        before, after = past[: n - k], past[n - k :]
        p_value = getattr(self._detectors[i], "p_value", None)
        return Change(
            i, float(before.mean()), float(after.mean()), k, _distance(before, after),
            None if p_value is None else float(p_value),
        )  # fmt: skip

    # -- state

    def describe(self) -> dict[str, Any]:
        """Return what `state` does not hold, as JSON-ready data."""
        return {
            "blocks": self._blocks,
            "every": self._every,
            "up_only": self._up_only,
            "age": self._age,
            "detectors": [to_plain(detector) for detector in self._detectors],
        }

    def state(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the arrays; not copies."""
        return {"ring": self._ring, "recent": self._recent}

    def restore(self, description: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `describe` and `state` gave."""
        self._blocks = description["blocks"]
        self._every, self._up_only = list(description["every"]), list(description["up_only"])
        self._age = list(description["age"])
        self._detectors = [from_plain(each) for each in description["detectors"]]
        self._ring, self._recent = arrays["ring"].copy(), arrays["recent"].copy()


def _distance(before: Vector, after: Vector) -> float:
    """Return the largest difference between the two empirical distribution functions."""
    together = np.sort(np.concatenate([before, after]))
    shares: Sequence[Vector] = [
        np.searchsorted(np.sort(part), together, side="right") / len(part) for part in (before, after)
    ]
    return float(np.abs(shares[0] - shares[1]).max())
