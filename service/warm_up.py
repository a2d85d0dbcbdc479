"""`nnstream compile`: every kernel a service may need, compiled and cached on disk, so that no event waits for it.

The stages of a partition take in a few events of each kind; what they give is thrown away.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from service.positions import Offsets, Position
from service.records import Headers, Outgoing, Partition
from service.settings import settings_from
from service.wiring import build_stages

_EVENTS = 100  # enough for a few blocks of the drift detectors
_LABELS: dict[str, tuple[Sequence[float | int], ...]] = {
    "classification": ((0, 1), (0, 1, 2)),
    "regression": ((0.5, 1.5),),
}


class _Event(NamedTuple):
    """A `service.records.Record`."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: Headers = ()


class _Nowhere:
    """A `service.publish.Publisher` that keeps nothing."""

    identity: str | None = None

    def fence(self, owner: str) -> None:
        """Do nothing."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Do nothing."""

    def commit(self, positions: Mapping[Partition, Position], offsets: Offsets) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def compile_all() -> float:
    """Compile what is not compiled yet; return the seconds that it took."""
    start = time.perf_counter()
    for learner, task in itertools.product(("ensemble", "network"), _LABELS):
        for labels in _LABELS[task]:
            _run({"learner": learner, "task": task, "confidence": 0.9}, labels)
    return time.perf_counter() - start


def _run(model: dict[str, Any], labels: Sequence[float | int]) -> None:
    stages = build_stages(settings_from({"model": model, "explain": {"share": 0.1}}), _Nowhere())
    stages.begin(0)
    stages.process([
        _Event(i, i, msgspec.json.encode({"features": _features(i), "label": labels[i % len(labels)]}))
        for i in range(_EVENTS)
    ])  # fmt: skip


def _features(i: int) -> dict[str, Any]:
    return {"number": i / 7, "other": None if i % 5 == 0 else -i, "text": f"t{i % 3}", "list": [i % 11, 1.5]}
