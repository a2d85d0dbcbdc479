"""`nnstream pretrain`: learn from history before the stream begins; `model.start_from` goes on from there.

History is gone through in its own order, as the stream will be: each sample is predicted, then learned. The newest
tenth is kept back: after each pass a copy of the model goes through it. The pass with the least loss there is kept,
and learns the tenth too. What was learned is a snapshot (see `nnstream.snapshot`), the same as in a checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnstream import snapshot
from nnstream.errors import SnapshotError
from nnstream.model import Model, ModelSpec
from service.datasets import Sample
from service.errors import DataError, SettingsError
from service.evaluate import learn

_BLOCK = 1000
_KEPT_BACK = 0.1
_FEWEST = 20


@dataclass(frozen=True)
class Pretrained:
    """What was learned.

    Attributes:
        model: the one to go on from.
        losses: mean loss on the newest tenth, each sample predicted before it was learned: of a model that has seen
            no history, then after each pass.
        kept: the pass that was kept, from 1.
    """

    model: Model
    losses: list[float]
    kept: int

    def summary(self) -> dict[str, Any]:
        """Return it for people and programs."""
        return {
            "samples": self.model.version, "passes": len(self.losses) - 1, "kept_pass": self.kept,
            "loss_without_history": self.losses[0], "loss": self.losses[self.kept],
        }  # fmt: skip


def pretrain(
    history: Sequence[Sample], spec: ModelSpec, passes: int = 1, progress: Callable[[int], None] = lambda _: None
) -> Pretrained:
    """Return a model that has learned history.

    Args:
        history: features and labels, oldest first; samples without a label are left out.
        spec: of the model.
        passes: most times that it goes through it; it ends when a pass was no better than the one before.
        progress: called with the number of samples learned so far.

    Raises:
        DataError: a sample cannot be used, or there are too few.
    """
    known = [sample for sample in history if sample[1] is not None]
    if len(known) < _FEWEST:
        raise DataError(f"history has {len(known)} samples with a label, fewer than {_FEWEST}; give more of it")
    newest = round(len(known) * (1 - _KEPT_BACK))
    past, recent = known[:newest], known[newest:]
    model = Model(spec)
    best, losses, kept = snapshot.dump(model), [_loss_on(model, recent, newest)], 0
    for number in range(1, passes + 1):
        for start in range(0, len(past), _BLOCK):
            learn(model, past[start : start + _BLOCK], start)
            progress((number - 1) * len(past) + start + _BLOCK)
        losses.append(_loss_on(model, recent, newest))
        if number > 1 and losses[-1] >= losses[kept]:
            break
        best, kept = snapshot.dump(model), number
    chosen, _, _ = snapshot.load(best, spec)
    learn(chosen, recent, newest)
    return Pretrained(chosen, losses, kept)


def _loss_on(model: Model, samples: Sequence[Sample], done: int) -> float:
    """Return the mean loss of a copy that goes through the samples, each predicted before it is learned."""
    copy, _, _ = snapshot.load(snapshot.dump(model), model.spec)
    losses = learn(copy, samples, done).losses
    return float(np.nanmean(losses))


def read_start(path: Path, spec: ModelSpec) -> bytes:
    """Return the snapshot that a partition begins with; raises SettingsError where it cannot be used."""
    try:
        data = path.read_bytes()
        snapshot.load(data, spec)
    except OSError as error:
        raise SettingsError(
            f"model.start_from: {path} cannot be read: {error.strerror}; give what `nnstream pretrain --out` wrote"
        ) from error
    except SnapshotError as error:
        raise SettingsError(f"model.start_from: {path}: {error}") from error
    return data
