"""The order in which one partition's events and labels were taken, when they come from two topics.

Two logs have no common order: it is made when the labels are taken, and must be made again by whoever replays. So it
is written down, in the metadata of the committed offset: at which event offset the labels up to which label offset
were taken. Labels are taken once a commit, to keep that list short.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from service.records import Record

_LONGEST = 3000  # characters; Kafka takes 4,096 of metadata unless it is told otherwise
_BASE = 36


class Run(NamedTuple):
    """Before the event at `event`, all labels before `label` had been taken."""

    event: int
    label: int


class Merge:
    """The labels of one partition: those that arrived, and when those before them were taken.

    Attributes:
        offset: of the next label to take.
    """

    def __init__(self) -> None:
        self.offset = 0
        self._runs: list[Run] = [Run(0, 0)]
        self._plan: deque[Run] = deque()
        self._arrived: deque[Record] = deque()

    # -- beginning

    def begin(self, event: int, label: int) -> None:
        """Start with no history."""
        self.offset, self._runs = label, [Run(event, label)]

    def resume(self, event: int, label: int, history: str) -> None:
        """Go on from a checkpoint at these two offsets; what was taken since is to be taken at the same places."""
        self.offset, self._runs = label, decode(history)
        self._plan = deque(run for run in self._runs[1:] if run.label > label and run.event >= event)

    # -- labels come in

    def add(self, records: Sequence[Record]) -> None:
        """Note labels that have arrived."""
        self._arrived.extend(record for record in records if record.offset >= self.offset)

    @property
    def replaying(self) -> bool:
        """Return whether labels are still to be taken where they were taken before."""
        return bool(self._plan)

    @property
    def next_event(self) -> int | None:
        """Return the event offset before which labels must be taken; None when that is free."""
        return self._plan[0].event if self._plan else None

    def take_planned(self) -> list[Record] | None:
        """Return the labels of the next planned place; None while not all of them have arrived."""
        until = self._plan[0].label
        if not self._arrived or self._arrived[-1].offset < until - 1:
            return None
        self._plan.popleft()
        return self._take(until)

    def take(self, event: int) -> list[Record]:
        """Return all labels that have arrived, and write down that they were taken before `event`."""
        if not self._arrived or self.crowded:
            return []
        until = self._arrived[-1].offset + 1
        if self._runs[-1].event == event and len(self._runs) > 1:
            self._runs.pop()
        self._runs.append(Run(event, until))
        return self._take(until)

    def _take(self, until: int) -> list[Record]:
        taken = []
        while self._arrived and self._arrived[0].offset < until:
            taken.append(self._arrived.popleft())
        self.offset = until
        return taken

    # -- history

    @property
    def crowded(self) -> bool:
        """Return whether the history is so long that a checkpoint should cut it."""
        return len(self.history) > _LONGEST

    @property
    def history(self) -> str:
        """Return what has been taken where, as a text."""
        return encode(self._runs)

    def forget_before(self, event: int) -> None:
        """Cut the history: nobody will replay from before this event offset."""
        later = [i for i, run in enumerate(self._runs) if run.event >= event]
        first = max(0, (later[0] if later else len(self._runs)) - 1)
        self._runs = self._runs[first:]


def passes(history: str, event: int, label: int) -> bool:
    """Return whether a checkpoint at these two offsets lies on the way that was committed."""
    runs = decode(history)
    before = [run for run in runs if run.event < event]
    at = [run for run in runs if run.event == event]
    if not before:
        return bool(at) and runs[0].label <= label <= at[-1].label
    return before[-1].label <= label <= (at[-1].label if at else before[-1].label)


def encode(runs: Sequence[Run]) -> str:
    """Return runs as a text: the first, then the steps, in base 36."""
    steps = [runs[0], *(Run(b.event - a.event, b.label - a.label) for a, b in pairwise(runs))]
    return ";".join(f"{np.base_repr(event, _BASE)}.{np.base_repr(label, _BASE)}" for event, label in steps)


def decode(text: str) -> list[Run]:
    """Return the runs of a text."""
    steps = [[int(number, _BASE) for number in step.split(".")] for step in text.split(";")]
    sums = np.cumsum(np.array(steps, np.int64), axis=0)
    return [Run(event, label) for event, label in sums.tolist()]
