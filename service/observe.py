"""What the monitor is shown: each event when it is predicted, each label with the prediction that was published.

The monitor looks at blocks of rows, whatever the batches. So what a small batch brings waits until there may be a
block, or for the next commit, and the loop spends its time on predictions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnstream.drift.blocks import ROWS
from nnstream.model import Model
from nnstream.outcome import Outcome
from service.labels import Joined
from service.monitor import Observed
from service.records import Record
from service.scoring import published_score


def observed(joined: Joined, outcome: Outcome, model: Model) -> Observed:
    """Return what a batch gave as the monitor's two streams."""
    predicted, losses, chances = outcome.predictions(), outcome.losses.tolist(), outcome.chances(joined.labels)
    if joined.plain and not outcome.refused:
        rows = range(len(joined.records))
        return Observed(
            len(rows), rows, joined.features, outcome.centres(), rows, joined.labels, predicted, losses,
            [math.nan] * len(rows), chances, [record.timestamp for record in joined.records],
            outcome.table,
        )  # fmt: skip
    events, answers, delays = _sorted(joined, outcome, model, predicted, losses, chances)
    return Observed(
        len(joined.records), events, [joined.features[i] for i in events], outcome.centres()[events],
        answers, [joined.labels[i] for i in answers], [predicted[i] for i in answers], [losses[i] for i in answers],
        delays, chances[answers], [joined.records[i].timestamp for i in answers],
    )  # fmt: skip


def _sorted(
    joined: Joined, outcome: Outcome, model: Model, predicted: list[Any], losses: list[float], chances: Any
) -> tuple[list[int], list[int], list[float]]:
    """Return the rows of events, those of answers, and how late each of these came.

    What a late label is an answer to is filled in: the prediction that was published, its loss and chances.
    """
    events, answers, delays = [], [], []
    for i, (is_event, label, entry) in enumerate(zip(joined.is_event, joined.labels, joined.entries, strict=True)):
        if i in outcome.refused:
            continue
        if is_event:
            events.append(i)
        if label is None or i in joined.again:
            continue
        delay = math.nan
        if not is_event and entry is not None:
            if entry.prediction is None:
                continue
            predicted[i], losses[i], chances[i] = published_score(entry.prediction, label, model)
            delay = (joined.timestamps[i] - entry.ts) / 1000
        answers.append(i)
        delays.append(delay)
    return events, answers, delays


@dataclass
class Unseen:
    """Rows that the monitor has not seen yet.

    Attributes:
        records: the record that each row came with.
        timestamps: of each, ms since 1970.
        live: whether they are no replay.
    """

    records: list[Record] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    live: bool = False
    _parts: list[Observed] = field(default_factory=list)

    @property
    def is_block(self) -> bool:
        """Return whether there may be enough rows for the monitor to see something."""
        return len(self.records) >= ROWS

    def add(self, joined: Joined, part: Observed, *, live: bool) -> None:
        """Append the rows of a batch; live ones and others do not go together."""
        self._parts.append(part)
        self.records += joined.records
        self.timestamps += joined.timestamps
        self.live = live

    def together(self) -> Observed:
        """Return everything as one batch."""
        if len(self._parts) == 1:
            return self._parts[0]
        starts = np.cumsum([0, *(part.count for part in self._parts)]).tolist()

        def rows(of: str) -> list[int]:
            return [start + i for start, part in zip(starts, self._parts, strict=False) for i in getattr(part, of)]

        return Observed(
            starts[-1], rows("event_rows"), self._all("features"), self._stacked("predictions"), rows("answer_rows"),
            self._all("labels"), self._all("published"), self._all("losses"), self._all("delays"),
            self._stacked("chances"), self._all("timestamps"),
        )  # fmt: skip

    def _all(self, of: str) -> Sequence[Any]:
        return [each for part in self._parts for each in getattr(part, of)]

    def _stacked(self, of: str) -> Any:
        return np.concatenate([getattr(part, of) for part in self._parts])
