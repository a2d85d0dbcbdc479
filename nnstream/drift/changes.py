"""Series of numbers side by side, a number a block, each watched by a detector of its own.

A detector sees the normal score of each number: Φ⁻¹ of its rank among the last 256 of its series (van der Waerden
scores; sequential ranks: Parent 1965, Gordon & Pollak 1994). On a stream that does not change, ranks are uniform
whatever the distribution, so a rate of false alarms can be promised. After a change the series begins anew.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.drift.detectors import KINDS, DetectorSpec
from nnstream.drift.plain import from_plain, to_plain
from nnstream.kernels.ranks import rank

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

HISTORY = 256  # numbers of a series that a new one is ranked among
WARM_UP = 16  # below so many a rank says too little
RENEWED_AFTER = 512
_LASTS, _LATELY, _SKIPPED = 3, 64, 12
_HIGH, _APART, _SPREADS, _SHARES = 0.9, 0.6, 3.0, 0.2
_UNUSUAL = 1.0  # a score above it counts as unusual for a detector of zeros and ones: 16 % are
_UNUSUAL_BOTH_WAYS = 1.4100  # the same share, of scores away from 0
_RECENT = 1 / 16  # weight of a score in the running mean that dashboards see
_GRID = np.linspace(0, 1, 2 * HISTORY + 3)[1:-1]
_SCORES = np.array([NormalDist().inv_cdf(share) for share in _GRID])
_HIGHEST = NormalDist().inv_cdf((_LATELY + 0.4) / (_LATELY + 1))  # only what is above all 64 has a higher score


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
        self._ring = np.full((0, HISTORY), np.nan)
        self._recent, self._scores = np.zeros(0), np.zeros(0)
        self._every: list[float] = []
        self._up_only: list[bool] = []
        self._detectors: list[Any] = []
        self._age: list[int] = []
        self._lasting = np.zeros(0, np.bool_)
        self._shares: list[bool] = []
        self._run: list[int] = []  # how many blocks in a row were higher than all that they are ranked among
        self._longest: list[int] = []  # how many are an alarm
        self._doubtful: list[int] = []  # blocks in which an alarm may still prove to last
        self._blocks = 0

    def __len__(self) -> int:
        return len(self._detectors)

    @property
    def shifts(self) -> Vector:
        """Return the running mean of each series' normal scores, float64 (series,): far from 0 where it moved."""
        return self._recent

    def add_series(self, every: float, *, up_only: bool, lasting: bool = False, shares: bool = False) -> None:
        """Add a series that begins with the next block.

        Args:
            every: blocks between two false alarms.
            up_only: whether only a rise is a change.
            lasting: whether only a large one counts, that lasts 3 blocks: with a median outside nine tenths of the 64
                blocks before, at a distance of 0.6, and by 3 of their standard deviations. Such a series is ranked
                among those 64, it may have been another one when it began; and not among the newest 12, or what is
                high would soon look usual.
            shares: whether the numbers are shares; a large change is then also one by 0.2 of Cohen's (1988) effect
                size h = 2 asin √after - 2 asin √before. Of numbers above 1 it is the share of the largest.
        """
        self._ring = np.concatenate([self._ring, np.full((1, HISTORY), np.nan)])
        self._recent, self._scores = np.append(self._recent, 0.0), np.empty(len(self._every) + 1)
        self._every.append(every)
        self._up_only.append(up_only)
        self._detectors.append(self.spec.detector(every, up_only=up_only))
        self._age.append(0)
        self._lasting = np.append(self._lasting, lasting)
        self._doubtful.append(0)
        self._shares.append(shares)
        self._run.append(0)
        self._longest.append(_longest(every))

    def update(self, numbers: Matrix, *, until_first: bool = False) -> list[tuple[int, Change]]:
        """Take in blocks: float64 (blocks, series), NaN where one says nothing.

        Args:
            numbers: of each block.
            until_first: whether to leave out what comes after the first block with which a change shows.

        Returns:
            Each change that shows, with the index of the block with which it does.
        """
        found: list[tuple[int, Change]] = []
        for block, row in enumerate(np.ascontiguousarray(numbers)):
            rank(
                self._ring, self._blocks, row, self._lasting, (WARM_UP, _LATELY, _SKIPPED), _SCORES, _RECENT,
                self._recent, self._scores,
            )  # fmt: skip
            self._blocks += 1
            for i, score in enumerate(self._scores.tolist()):
                if score == score and self._alarmed(i, score):  # noqa: PLR0124  # NaN is not itself
                    change = self._describe(i)
                    if self._counts(i, change):
                        found.append((block, change))
                        self._begin_anew(i)
            if found and until_first:
                break
        return found

    def _counts(self, i: int, change: Change) -> bool:
        if self._up_only[i] and not change.after > change.before:
            return False
        if not self._lasting[i]:
            return True
        if change.blocks < _LASTS or change.distance < _APART:
            return False
        past, sign = self._past(i), 1 if change.after > change.before else -1
        usual = np.quantile(sign * past[-_SKIPPED - _LATELY : -_SKIPPED], _HIGH)
        return bool(sign * np.median(past[-change.blocks :]) > usual) and self._is_large(i, change, past)

    def _is_large(self, i: int, change: Change, past: Vector) -> bool:
        if self._shares[i]:
            before, after = np.array([change.before, change.after]) / max(1.0, past.max())
            if abs(np.arcsin(np.sqrt(after)) - np.arcsin(np.sqrt(before))) < _SHARES / 2:
                return False
        return bool(abs(change.after - change.before) >= _SPREADS * past[: -change.blocks].std())

    def _alarmed(self, i: int, score: float) -> bool:
        """Show the detector a score; return whether to look for a change."""
        kind, detector = self._kind, self._detectors[i]
        if kind.renewed:
            if self._age[i] >= RENEWED_AFTER:
                detector, self._age[i] = self._fresh(i), 0
            self._age[i] += 1
        if kind.binary:
            detector.update(score > _UNUSUAL if self._up_only[i] else abs(score) > _UNUSUAL_BOTH_WAYS)
        else:
            detector.update(score)
        self._run[i] = self._run[i] + 1 if score >= _HIGHEST else 0
        if detector.drift_detected or (self._lasting[i] and self._run[i] >= self._longest[i]):
            self._doubtful[i] = 1 + _LASTS if self._lasting[i] else 1
        if not self._doubtful[i]:
            return False
        self._doubtful[i] -= 1
        return True

    def _fresh(self, i: int) -> Any:
        self._detectors[i] = self.spec.detector(self._every[i], up_only=self._up_only[i])
        return self._detectors[i]

    def _begin_anew(self, i: int) -> None:
        self._ring[i] = np.nan
        self._recent[i] = 0.0
        self._fresh(i)
        self._age[i] = self._doubtful[i] = self._run[i] = 0

    def _past(self, i: int) -> Vector:
        """Return what is known of a series, as far back as it is ranked, oldest first."""
        past = np.roll(self._ring[i], -self._blocks)
        known: Vector = past[~np.isnan(past)]
        return known[-_SKIPPED - _LATELY :] if self._lasting[i] else known

    def _describe(self, i: int) -> Change:
        """Say where the change lies: the split with the largest standardised difference of means (CUSUM)."""
        past = self._past(i)
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
            "lasting": self._lasting.tolist(),
            "shares": self._shares,
            "run": self._run,
            "doubtful": self._doubtful,
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
        self._lasting, self._doubtful = np.array(description["lasting"], np.bool_), list(description["doubtful"])
        self._shares, self._run = list(description["shares"]), list(description["run"])
        self._longest = [_longest(every) for every in self._every]
        self._detectors = [from_plain(each) for each in description["detectors"]]
        self._ring, self._recent = arrays["ring"].copy(), arrays["recent"].copy()
        self._scores = np.empty(len(self._every))


def _longest(every: float) -> int:
    """Return how many numbers in a row above all 64 before them come by chance once in `every`.

    Of n numbers in any order the last k are the highest in 1 of (n choose k) cases.
    """
    return next(k for k in range(_LASTS, _LATELY) if math.comb(_LATELY + k, k) >= every)


def _distance(before: Vector, after: Vector) -> float:
    """Return the largest difference between the two empirical distribution functions."""
    together = np.sort(np.concatenate([before, after]))
    shares: Sequence[Vector] = [
        np.searchsorted(np.sort(part), together, side="right") / len(part) for part in (before, after)
    ]
    return float(np.abs(shares[0] - shares[1]).max())
