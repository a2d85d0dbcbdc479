"""Many networks in one set of flat arrays, stepped by one compiled call.

All parameters lie in one float32 vector, network after network, layer after layer: weights (fan_in, fan_out) row
by row, then biases. Optimiser slots lie alike. A single network is a bank of one; an ensemble is a bank of many.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nnstream import growth
from nnstream.activations import Activation
from nnstream.errors import SpecError
from nnstream.initializers import draw
from nnstream.kernels import layout as at
from nnstream.kernels.explain import SCRATCH_ROWS, explain_network
from nnstream.kernels.step import _step, predict_then_learn
from nnstream.losses import Loss
from nnstream.spec import NetworkSpec
from nnstream.state import check_like

Array = npt.NDArray[Any]
# An array of another layout, or a read-only one, is another type to numba, and would be compiled for anew.
_COMPILED: Final = ("C", "A", "W")
_FLOAT32: Final = np.dtype(np.float32)
_BOOL: Final = np.dtype(np.bool_)
_ONE: Final = np.ones(1, np.float32)  # for a single sample: to fill a new array takes longer than to learn
STATE = ("params", "slots", "grad", "powers", "clocks")


class Bank:
    """The state of several networks with the same inputs and outputs, and the step over them.

    Args:
        specs: one a network; inputs and outputs must agree.

    Attributes:
        params: float32 (total parameters,).
        slots: float32 (total optimiser state,).
        grad: float32 like `params`: the gradient of an unfinished mini-batch.
        powers: float64 (networks, 2): β1^t and β2^t.
        clocks: int64 (networks, CLOCK_COLUMNS): see `nnstream.kernels.layout`.
    """

    def __init__(self, specs: Sequence[NetworkSpec]) -> None:
        if len({(spec.inputs, spec.outputs) for spec in specs}) != 1:
            raise SpecError("the networks of a bank must agree in inputs and outputs, and there must be at least one")
        self.specs = tuple(specs)
        self._pace = 1.0
        self._describe()
        self.params = np.concatenate([initial_params(spec) for spec in specs])
        self.slots = np.concatenate(
            [spec.optimizer.initial_slots(self.params[self.span(m)]).ravel() for m, spec in enumerate(self.specs)]
        )
        self.grad = np.zeros_like(self.params)
        self.powers = np.ones((len(specs), 2), np.float64)
        self.clocks = np.zeros((len(specs), at.CLOCK_COLUMNS), np.int64)

    def _describe(self) -> None:
        """Lay the networks out in the tables that the compiled step reads."""
        members: list[tuple[int, ...]] = []
        layers: list[tuple[int, ...]] = []
        hyper: list[tuple[float, ...]] = []
        start = slot = 0
        for spec in self.specs:
            numbers, reg = spec.optimizer.numbers(), spec.regularization
            pace = self._pace if spec.optimizer.takes_schedule else 1.0
            members.append(
                (len(layers), len(spec.sizes) - 1, start, spec.parameter_count, slot, spec.optimizer.code,
                 Loss.of(spec.loss), spec.schedule.code, spec.seed, spec.batch_size,
                 spec.lowest_learning, int(any(rate != 1 for rate in spec.rates[spec.lowest_learning :])))
            )  # fmt: skip
            layers += _layer_rows(spec)
            hyper.append(
                (pace * numbers.learning_rate, numbers.beta1, numbers.beta2, numbers.epsilon, reg.l1, reg.l2,
                 numbers.weight_decay, reg.dropout, reg.max_norm, reg.clip_value, reg.clip_norm, spec.loss_shape,
                 *spec.schedule.numbers())
            )  # fmt: skip
            start += spec.parameter_count
            slot += spec.parameter_count * spec.optimizer.slot_count
        self._members = np.array(members, np.int64)
        self._layers = np.array(layers, np.int64)
        self._hyper = np.array(hyper, np.float32)
        indexed = Loss.of(self.specs[0].loss).is_indexed(2)
        self._targets = 1 if indexed else self.specs[0].outputs
        self._outputs_of_one = np.zeros((len(self.specs), 1, self.specs[0].outputs), np.float32)
        self._losses_of_one = np.zeros((len(self.specs), 1), np.float32)
        self._scratch = np.empty((4, max(sum(spec.sizes[1:]) for spec in self.specs)), np.float32)
        self._path = np.empty((SCRATCH_ROWS, sum(self.specs[0].sizes[1:])), np.float32)

    def set_pace(self, factor: float) -> None:
        """Multiply the learning rates by `factor` from now on; 1 is what the specs say.

        An optimiser whose rate no schedule may change keeps it.
        """
        self._pace = factor
        self._describe()

    def set_layer_rates(self, layer_rates: tuple[float, ...]) -> None:
        """Freeze, thaw, or change the learning-rate factors of all networks' layers from now on.

        A frozen layer keeps its optimiser state; what an unfinished mini-batch has gathered for it is dropped.

        Raises:
            SpecError: there is not one usable factor a layer.
        """
        self.specs = tuple(replace(spec, layer_rates=layer_rates) for spec in self.specs)
        self._describe()
        for m, spec in enumerate(self.specs):
            grad, rows = self.grad[self.span(m)], _layer_rows(spec)
            for k, rate in enumerate(spec.rates):
                if rate == 0:
                    grad[rows[k][at.WEIGHTS] : rows[k][at.BIASES] + rows[k][at.FAN_OUT]] = 0

    def span(self, m: int) -> slice:
        """Return where the parameters of network `m` lie in `params`."""
        start = int(self._members[m, at.PARAM_START])
        return slice(start, start + self.specs[m].parameter_count)

    def slot_span(self, m: int) -> slice:
        """Return where the optimiser state of network `m` lies in `slots`."""
        start = int(self._members[m, at.SLOT_START])
        return slice(start, start + self.specs[m].parameter_count * self.specs[m].optimizer.slot_count)

    def predict_then_learn(
        self, X: Array, Y: Array, has_label: Array, weight: Array | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Predict each row, then learn it where it has a label, strictly in order.

        Args:
            X: float32 (n, inputs).
            Y: float32 (n, targets): a class index for cross_entropy, otherwise one target an output.
            has_label: bool (n,).
            weight: float32 (n,), a factor on each sample's gradient; None is 1.

        Returns:
            Outputs, float32 (networks, n, outputs), each made before its row was learned; and losses, float32
            (networks, n), NaN where there is no label.

        Raises:
            SpecError: an array has another shape; the message says which and how.
        """
        n = len(X)
        X, Y = self._checked("X", X, (n, self.specs[0].inputs)), self._checked("Y", Y, (n, self._targets))
        flags = has_label if _is_compiled(has_label, _BOOL) else np.require(has_label, np.bool_, _COMPILED)
        if flags.shape != (n,):
            raise SpecError(f"has_label must have the shape {(n,)}, not {flags.shape}")
        weights = _equal_weights(n) if weight is None else self._checked("weight", weight, (n,))
        return self._walk(X, Y, flags, weights)

    def _walk(
        self, X: Array, Y: Array, flags: Array, weights: Array
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        m, n = len(self.specs), len(X)
        outputs, losses = np.empty((m, n, self.specs[0].outputs), np.float32), np.empty((m, n), np.float32)
        predict_then_learn(
            X, Y, flags, weights, self._members, self._layers, self._hyper, self.params, self.slots,
            self.grad, self.powers, self.clocks, self._scratch, outputs, losses,
        )  # fmt: skip
        return outputs, losses

    def predict(self, X: Array) -> npt.NDArray[np.float32]:
        """Return the outputs for each row of `X`, float32 (networks, n, outputs), and learn nothing."""
        n = len(X)
        X = self._checked("X", X, (n, self.specs[0].inputs))
        return self._walk(X, X, np.zeros(n, np.bool_), _ONE)[0]  # targets and weights of unlabelled rows are not read

    def step_one(self, x: Array, y: Array, has_label: Array, weight: Array = _ONE) -> npt.NDArray[np.float32]:
        """Do what `predict_then_learn` does, for one row, without its checks and without a new array.

        Args:
            x: float32 (1, inputs); like the others C-contiguous and writable.
            y: float32 (1, targets); without a label it is not read.
            has_label: bool (1,).
            weight: float32 (1,).

        Returns:
            Outputs, float32 (networks, 1, outputs), overwritten by the next call.
        """
        predict_then_learn(
            x, y, has_label, weight, self._members, self._layers, self._hyper, self.params, self.slots,
            self.grad, self.powers, self.clocks, self._scratch, self._outputs_of_one, self._losses_of_one,
        )  # fmt: skip
        return self._outputs_of_one

    def losses(self, X: Array, Y: Array) -> npt.NDArray[np.float32]:
        """Return the loss of each row, float32 (networks, n), and learn nothing: weights of 0, and no step."""
        return self._probe(len(X)).predict_then_learn(X, Y, np.ones(len(X), np.bool_), np.zeros(len(X), np.float32))[
            1
        ]

    def gradient_norm(self, X: Array, Y: Array) -> float:
        """Return the length of the mean gradient of all networks over the rows, and learn nothing."""
        probe = self._probe(len(X))
        probe.predict_then_learn(X, Y, np.ones(len(X), np.bool_))
        return float(np.linalg.norm(probe.grad)) / len(X)

    def _probe(self, rows: int) -> "Bank":
        """Return the same networks with a gradient of their own, that is not full after so many rows."""
        probe = self.with_batch_size(rows + 1)
        probe.grad, probe.clocks = np.zeros_like(self.grad), np.zeros_like(self.clocks)
        return probe

    def explain(self, X: Array, target: int, steps: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what the score of each row owes to each input, of the first network.

        Args:
            X: float32 (n, inputs).
            target: index of the class to explain; -1 takes the most probable one of each row.
            steps: of the integral from 0 to the row; 0 is gradient x input.

        Returns:
            Contributions, float32 (n, inputs); and float32 (n, 3): the score at 0 (NaN for gradient x input), the
            score of the row, the index of the class explained.

        Raises:
            SpecError: `X` has another shape, or there is no such class.
        """
        spec = self.specs[0]
        X = self._checked("X", X, (len(X), spec.inputs))
        if not -1 <= target < max(spec.outputs, 2) or steps < 0:
            raise SpecError(f"there is no class {target} to explain in {steps} steps; outputs: {spec.outputs}")
        contributions, ends = np.empty_like(X), np.empty((len(X), 3), np.float32)
        layers = self._layers[: len(spec.sizes) - 1]
        explain_network(X, layers, self.params, target, steps, self._path, contributions, ends)
        return contributions, ends

    def with_batch_size(self, batch_size: int) -> "Bank":
        """Return the same networks, by the same arrays, with mini-batches of another size.

        What one learns, the other knows, until one of the two is resized or restored.
        """
        other = copy(self)
        other.specs = tuple(replace(spec, batch_size=batch_size) for spec in self.specs)
        other._describe()  # noqa: SLF001  # its own kind
        return other

    def flush(self) -> None:
        """Take a step with the mean gradient of each unfinished mini-batch; without one, do nothing."""
        for m, row in enumerate(self._members):
            if self.clocks[m, at.PENDING] > 0:
                first, span = int(row[at.FIRST_LAYER]), self.span(m)
                layers = self._layers[first : first + int(row[at.LAYER_COUNT])]
                _step(
                    row, layers, self._hyper[m], self.params[span], self.slots[int(row[at.SLOT_START]) :],
                    self.grad[span], self.powers[m], self.clocks[m],
                )  # fmt: skip

    @staticmethod
    def _checked(name: str, array: Array, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        if not _is_compiled(array, _FLOAT32):
            array = np.require(array, np.float32, _COMPILED)
        if array.shape != shape:
            raise SpecError(f"{name} must have the shape {shape}, not {array.shape}")
        return array

    def resize(self, inputs: int, outputs: int, loss: str) -> None:
        """Widen all networks; old weights and their optimiser state stay as they are.

        New input rows get the initial weights they would have had; new output columns start at 0, those of a
        softmax at the mean of the old ones. Going from one `log` output to `cross_entropy` keeps the function: the
        old column becomes that of class 1, class 0 gets zeros, and softmax(0, z) is sigmoid(z). One `hinge`
        output becomes several, and one `perceptron` several of `multiclass_perceptron`, in the same way.

        Raises:
            SpecError: several `log` outputs (labels that may hold together) can not become classes.
        """
        spec = self.specs[0]
        if (inputs, outputs, loss) == (spec.inputs, spec.outputs, spec.loss):
            return
        if loss == "cross_entropy" and spec.loss == "log" and spec.outputs > 1:
            raise SpecError(
                f"{spec.outputs} log outputs are labels that may hold together; they can not become classes"
            )
        old, old_params, old_slots, old_grad = self.specs, self.params, self.slots, self.grad
        spans = [(self.span(m), self.slot_span(m)) for m in range(len(old))]
        self.specs = tuple(spec.resized(inputs, outputs, loss) for spec in old)
        self._describe()
        params, slots, grad = [], [], []
        for was, is_now, (span, slot_span) in zip(old, self.specs, spans, strict=True):
            before, after = _as_probabilities(was, is_now)
            kept = growth.positions(before, after)
            fresh = growth.fresh_params(before, after)
            fresh[kept] = old_params[span]
            growth.score_new_classes(fresh, before, after)
            state = after.optimizer.initial_slots(fresh)
            state[:, kept] = old_slots[slot_span].reshape(-1, before.parameter_count)
            gathered = np.zeros_like(fresh)
            gathered[kept] = old_grad[span]
            params.append(fresh)
            slots.append(state.ravel())
            grad.append(gathered)
        self.params, self.slots, self.grad = (np.concatenate(parts) for parts in (params, slots, grad))

    def state(self) -> dict[str, Array]:
        """Return the arrays that, with the specs, are everything there is to know; not copies."""
        return {name: getattr(self, name) for name in STATE}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take over arrays that `state` gave.

        Raises:
            SpecError: an array has another shape or dtype than this bank's; the message names it.
        """
        check_like(self.state(), arrays)
        for name in STATE:
            setattr(self, name, arrays[name].copy())


def _is_compiled(array: Array, dtype: np.dtype[Any]) -> bool:
    """Return whether `np.require` would give `array` back; to ask takes a tenth of the time."""
    return type(array) is np.ndarray and array.dtype is dtype and array.flags.carray


def _equal_weights(n: int) -> npt.NDArray[np.float32]:
    return _ONE if n == 1 else np.ones(n, np.float32)


def _as_probabilities(before: NetworkSpec, after: NetworkSpec) -> tuple[NetworkSpec, NetworkSpec]:
    """Return the same shapes with the losses by which `growth` knows that classes are added."""
    if after.loss not in ("hinge", "multiclass_perceptron") or after.outputs == 1:
        return before, after
    return replace(before, loss="log" if before.outputs == 1 else "cross_entropy"), replace(
        after, loss="cross_entropy"
    )


def initial_params(spec: NetworkSpec) -> npt.NDArray[np.float32]:
    """Return float32 (parameter_count,): initial weights, biases 0."""
    parts = []
    for k, (fan_in, fan_out) in enumerate(pairwise(spec.sizes)):
        parts.append(draw(spec.initializer_of(k), spec.seed, k, range(fan_in), fan_in, fan_out).ravel())
        parts.append(np.zeros(fan_out, np.float32))
    return np.concatenate(parts)


def _layer_rows(spec: NetworkSpec) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    weights = 0
    for k, (fan_in, fan_out) in enumerate(pairwise(spec.sizes)):
        hidden = k < len(spec.hidden)
        activation = Activation.of(spec.activation) if hidden else Activation.IDENTITY
        biases = weights + fan_in * fan_out
        rows.append((fan_in, fan_out, int(activation), weights, biases, round(spec.rates[k] * at.RATE_ONE)))
        weights = biases + fan_out
    return rows
