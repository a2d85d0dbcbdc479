"""What a model does when its loss jumps: nothing, learn faster for a while, begin members anew, or change networks.

A response depends on the learned samples alone: the loss is looked at after each 32 of them, and what follows from
it holds from the next sample on. So it is the same for every cut of a stream, and it is part of the model's state.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nnstream.block import Attribution, Block
from nnstream.drift.blocks import ROWS
from nnstream.drift.detectors import DetectorSpec, Name
from nnstream.drift.panel import Found, Panel, under
from nnstream.errors import SpecError
from nnstream.learners import Learner

Array = npt.NDArray[Any]
Learned = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
Policy = Literal["auto", "none", "faster", "rebirth", "background"]
_SMOOTH = 0.25  # weight of a block's loss in the running means by which two networks are compared
_ALARM = 0
_AHEAD = 8 * ROWS  # rows from which it pays to learn first and to look then
_MOST_BYTES_A_ROW = 256  # of state that must be copied for it


@dataclass(frozen=True)
class ResponseSpec:
    """What to do when the loss jumps.

    Args:
        policy: `auto`: the ensemble begins its plastic members anew when its loss has jumped for 512 samples; one
            network does nothing. `none`. `faster`: a higher learning rate for a while. `rebirth`: the
            ensemble's plastic members begin anew; one network gets fresh weights. `background`: a second learner
            begins at a warning and takes over after the alarm, as soon as it is the better one (as the trees of Gomes
            et al. 2017).
        detector: that finds the jump; see `nnstream.drift.detectors`.
        false_alarm_every: samples of a stream that does not change, in which there is one needless response.
        warning_every: likewise for needless warnings; a warning costs time, and changes nothing.
        factor: on the learning rate, of `faster`.
        lasts: learned samples that `faster` lasts, and that `background` has to become the better one.
    """

    policy: Policy = "auto"
    detector: Name = "page_hinkley"
    false_alarm_every: float = 100_000
    warning_every: float = 10_000
    factor: float = 4.0
    lasts: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 100:  # noqa: PLR2004
            raise SpecError(f"the factor on the learning rate must be above 0 and at most 100, not {self.factor}")
        if self.lasts < 1:
            raise SpecError(f"a response must last at least 1 sample, not {self.lasts}")
        if not 0 < self.warning_every <= self.false_alarm_every:
            raise SpecError("warnings must come at least as often as alarms: warning_every, false_alarm_every")


class Responsive:
    """A learner that responds to jumps of its own loss.

    Args:
        make: returns a fresh learner of today's shape.
        spec: what to do.
        regression: whether the loss is a squared error.

    Attributes:
        current: the learner that predicts.
        background: the one that may take over, while there is one.
        responses: how often it has learned faster, begun anew, or changed networks.
    """

    def __init__(self, make: Callable[[], Learner], spec: ResponseSpec, *, regression: bool) -> None:
        self.current = make()
        self.background: Learner | None = None
        self.responses = 0
        self._make, self._spec, self._regression = make, spec, regression
        self._panel = Panel(DetectorSpec(spec.detector, spec.false_alarm_every))
        for every in (spec.false_alarm_every, spec.warning_every):
            self._panel.add_column(every, ("mean",) if self._wants(every) else (), up_only=True)
        self._panel.add_column(1, ())  # the loss of the learner in the background, for its mean
        self._learned = 0
        self._until = -1  # samples learned when the response is over; -1: there is none
        self._armed = False  # whether the alarm has come, and the one in the background may take over
        self._means = np.full(2, np.nan)  # loss of both learners lately, from where there are two

    def _wants(self, every: float) -> bool:
        return self._spec.policy == "background" or every == self._spec.false_alarm_every

    # -- learning

    def predict(self, block: Block) -> npt.NDArray[np.float32]:
        """Return float32 (n, outputs); nothing is learned."""
        return self.current.predict(block)

    def explain(self, block: Block, target: int, steps: int) -> Attribution:
        """Return what the prediction of the block's one row owes to each of its columns."""
        return self.current.explain(block, target, steps)

    def predict_then_learn(self, block: Block) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return outputs, float32 (n, outputs), and losses, float32 (n,), strictly in order."""
        outputs, losses, start = [], [], 0
        while start < len(block):
            rest = block[start:] if start else block
            said, lost = self._learn_ahead(rest) or self._learn_to_look(rest)
            outputs.append(said)
            losses.append(lost)
            start += len(lost)
        return (outputs[0], losses[0]) if len(outputs) == 1 else (np.concatenate(outputs), np.concatenate(losses))

    def _learn_ahead(self, block: Block) -> Learned | None:
        """Learn as if there were nothing to respond to; where there was, go back and end there.

        Returns:
            Outputs and losses of the rows learned; None where looking first is better.
        """
        if self.background is not None or self._until >= 0 or len(block) < _AHEAD:
            return None
        arrays = self.current.state()
        if sum(array.nbytes for array in arrays.values()) > _MOST_BYTES_A_ROW * len(block):
            return None
        before = {name: array.copy() for name, array in arrays.items()}
        said, lost = self.current.predict_then_learn(block)
        found = self._panel.add(self._columns(lost[block.known], None), until_first=True)
        if found:
            stop = int(np.flatnonzero(block.known)[found[0].row]) + 1
            block = block[:stop]
            self.current.restore(before)
            said, lost = self.current.predict_then_learn(block)
        self._learned += int(block.known.sum())
        if found:
            self._respond(found)
        return said, lost

    def _learn_to_look(self, block: Block) -> Learned:
        """Learn up to where the loss must be looked at, and respond to it."""
        count = self._rows_to_look(block.known)
        part = block if count == len(block) else block[:count]
        said, lost = self.current.predict_then_learn(part)
        others = None if self.background is None else self.background.predict_then_learn(part)[1][part.known]
        found = self._panel.add(self._columns(lost[part.known], others))
        samples = int(part.known.sum())
        self._learned += samples
        if samples and self._learned % ROWS == 0:
            if others is not None:
                self._compare(self._panel.means[1:])
            self._respond(found)
        return said, lost

    def _columns(self, losses: Array, others: Array | None) -> Array:
        """Return what the panel is shown of learned samples."""
        columns = np.empty((len(losses), 3))
        columns[:, :2] = losses[:, None]
        columns[:, 2] = np.nan if others is None else others
        return np.sqrt(columns) if self._regression else columns

    def _rows_to_look(self, known: Array) -> int:
        """Return how many of these rows may be learned before the loss must be looked at."""
        samples = self._panel.rows_to_look
        if len(known) <= samples or known[:samples].all():
            return min(len(known), samples)
        return min(len(known), int(np.searchsorted(np.cumsum(known), samples)) + 1)

    def _respond(self, found: Sequence[Found]) -> None:
        """Do what the policy wants after a block of losses."""
        alarm = any(each.column == _ALARM for each in found)
        match self._spec.policy:
            case "faster":
                self._learn_faster(alarm)
            case "rebirth" if alarm:
                self.responses += 1
                self.current.begin_anew()
            case "background":
                self._change(alarm, bool(found))

    def _compare(self, now: Array) -> None:
        share = np.where(np.isnan(self._means), 1.0, _SMOOTH)
        self._means = np.where(np.isnan(now), self._means, np.nan_to_num(self._means) * (1 - share) + share * now)

    def _learn_faster(self, alarm: bool) -> None:
        if alarm:
            self.responses += 1
            self._until = self._learned + self._spec.lasts
            self.current.set_pace(self._spec.factor)
        elif 0 <= self._until <= self._learned:
            self._until = -1
            self.current.set_pace(1.0)

    def _change(self, alarm: bool, warning: bool) -> None:
        if self.background is not None and (alarm or self._armed) and self._means[1] < self._means[0]:
            self.responses += 1
            self.current, self.background = self.background, None
            self._armed, self._until = False, -1
            return
        if self.background is None and (alarm or warning):
            self.background = self._make()
            self._means[:] = np.nan
            self._until = self._learned + self._spec.lasts
        if alarm:
            self._armed, self._until = True, self._learned + self._spec.lasts
        elif 0 <= self._until <= self._learned:
            self.background, self._armed, self._until = None, False, -1

    # -- growth and state

    def resize(self, columns: int, numbers: int, outputs: int, loss: str) -> None:
        """Widen; what was learned stays."""
        for learner in (self.current, self.background):
            if learner is not None:
                learner.resize(columns, numbers, outputs, loss)

    def set_pace(self, factor: float) -> None:
        """Multiply all learning rates by `factor` from now on."""
        self.current.set_pace(factor)

    def begin_anew(self) -> None:
        """Forget what a drift has made worthless."""
        self.current.begin_anew()

    def state(self) -> dict[str, Array]:
        """Return all arrays of state; not copies."""
        arrays = {f"current.{name}": array for name, array in self.current.state().items()}
        if self.background is not None:
            arrays |= {f"background.{name}": array for name, array in self.background.state().items()}
        arrays |= {f"panel.{name}": array for name, array in self._panel.state().items()}
        text = json.dumps(self._panel.describe(), allow_nan=False)
        numbers = (self._learned, self._until, self._armed, self.responses)
        return arrays | {
            "detector": np.frombuffer(text.encode(), np.uint8),
            "numbers": np.array(numbers, np.int64),
            "losses": self._means,
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what `state` gave; raises SpecError where an array does not fit."""
        for name in ("detector", "numbers", "losses"):
            if name not in arrays:
                raise SpecError(f"{name} is missing among the arrays to restore")
        self.current.restore(under("current.", arrays))
        beside = under("background.", arrays)
        self.background = self._make() if beside else None
        if self.background is not None:
            self.background.restore(beside)
        self._panel.restore(json.loads(arrays["detector"].tobytes()), under("panel.", arrays))
        self._learned, self._until, armed, self.responses = arrays["numbers"].tolist()
        self._armed, self._means = bool(armed), arrays["losses"].copy()
        if self._spec.policy == "faster" and self._until >= 0:
            self.current.set_pace(self._spec.factor)


def responsive(make: Callable[[], Learner], spec: ResponseSpec, *, regression: bool) -> Learner:
    """Return a fresh learner that responds as `spec` says; arguments as those of `Responsive`."""
    if spec.policy in ("auto", "none"):
        return make()
    return Responsive(make, spec, regression=regression)


def predictor(learner: Learner) -> Learner:
    """Return the learner that predicts."""
    return learner.current if isinstance(learner, Responsive) else learner
