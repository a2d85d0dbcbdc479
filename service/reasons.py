"""Stage 5a: why a prediction came out as it did, for a share of the events.

Which ones is decided by their offsets alone: a replay explains the same events, and no state has to be kept for it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nnstream.encoder import Row
from nnstream.explain import Explanation, Method, Request, sampled
from service.records import Record

_REMEMBERED = 1000  # explained predictions that the means look back
_MOST_FEATURES = 100
OTHERS = "(others)"


class Rows(Protocol):
    """The rows of a batch, as `service.labels` gives them."""

    records: list[Record]
    features: list[dict[str, Any]]
    is_event: list[bool]


class Reasons:
    """Chooses the events to explain, and keeps what mattered lately.

    Args:
        share: of the events, within [0, 1].
        method: see `nnstream.explain`.
        seed: of the choice; with another one others are chosen.
        partition: whose events they are.

    Attributes:
        means: mean absolute contribution of each feature to the newest explained predictions; features beyond the
            first hundred count as one.
    """

    def __init__(self, share: float, method: Method, seed: int, partition: int) -> None:
        self.share, self.method = share, method
        self.means: dict[str, float] = {}
        self._seed, self._partition, self._explained = seed, partition, 0

    def request(self, rows: Rows) -> Request | None:
        """Return which rows of a batch to explain; None where it is none."""
        if self.share == 0:
            return None
        offsets = np.array([record.offset for record in rows.records], np.int64)
        chosen = sampled(offsets, self.share, self._seed, self._partition)
        wanted: dict[int, Row] = {
            i: rows.features[i] for i in np.flatnonzero(chosen).tolist() if rows.is_event[i]
        }  # fmt: skip
        return Request(wanted, self.method) if wanted else None

    def note(self, explanations: Sequence[Explanation]) -> None:
        """Move the means by predictions that were explained."""
        for each in explanations:
            sizes = dict.fromkeys(self.means, 0.0)
            for name, value in each.contributions.items():
                known = str(name) if str(name) in sizes or len(sizes) < _MOST_FEATURES else OTHERS
                sizes[known] = sizes.get(known, 0.0) + abs(value)
            if not all(map(math.isfinite, sizes.values())):
                continue
            self._explained = min(self._explained + 1, _REMEMBERED)
            for name, size in sizes.items():
                mean = self.means.get(name, 0.0)
                self.means[name] = mean + (size - mean) / self._explained


def as_record(explanation: Explanation) -> dict[str, Any]:
    """Return the field of a published prediction that explains it; nothing where a number of it is none."""
    numbers = (explanation.output, *explanation.contributions.values())
    if not all(map(math.isfinite, numbers)):
        return {}
    body: dict[str, Any] = {"method": explanation.method}
    if explanation.label is not None:
        body["label"] = explanation.label
    body["output"] = explanation.output
    if math.isfinite(explanation.baseline):
        body["baseline"] = explanation.baseline
    body["contributions"] = _named(explanation.contributions)
    return {"explanation": body}


def _named(contributions: Mapping[Any, float]) -> dict[str, float]:
    return {str(name): value for name, value in contributions.items()}
