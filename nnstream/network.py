"""One network: named views into its flat parameter vector, forward, and the online step."""

from copy import copy
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.bank import Bank
from nnstream.errors import SpecError
from nnstream.kernels import layout as at
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[np.float32]


class Network:
    """A fully connected network that learns one sample at a time.

    Example:
        >>> import numpy as np
        >>> net = Network(NetworkSpec(inputs=2, hidden=(8,), activation="tanh", seed=1))
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 2000, np.float32)
        >>> y = np.array([0, 1, 1, 0] * 2000, np.float32)
        >>> probabilities, losses = net.predict_then_learn(X, y)
        >>> bool(losses[-100:].max() < 0.1 < losses[:100].mean())
        True
    """

    def __init__(self, spec: NetworkSpec) -> None:
        self._bank = Bank([spec])

    @property
    def spec(self) -> NetworkSpec:
        """Return what the network is."""
        return self._bank.specs[0]

    @property
    def params(self) -> Floats:
        """Return float32 (parameter_count,): all weights and biases; writing here changes the network."""
        return self._bank.params

    @property
    def samples_learned(self) -> int:
        """Return how many samples the network has learned."""
        return int(self._bank.clocks[0, at.SAMPLES])

    def layers(self) -> list[tuple[Floats, Floats]]:
        """Return for each layer its weights (fan_in, fan_out) and biases (fan_out,), as views into `params`."""
        views = []
        start = 0
        for fan_in, fan_out in pairwise(self.spec.sizes):
            weights = self.params[start : start + fan_in * fan_out].reshape(fan_in, fan_out)
            start += fan_in * fan_out
            views.append((weights, self.params[start : start + fan_out]))
            start += fan_out
        return views

    def gradient_norm(self, X: Floats, y: Floats) -> float:
        """Return the length of the mean gradient over rows, float32 (n, inputs) and (n, targets); nothing changes."""
        return self._bank.gradient_norm(X, y)

    def predict(self, X: npt.ArrayLike) -> Floats:
        """Return float32 (n, outputs): the predictions for the rows of `X` (n, inputs)."""
        outputs: Floats = self._bank.predict(_rows(X))[0]
        return outputs

    def predict_then_learn(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        has_label: npt.ArrayLike | None = None,
        weight: npt.ArrayLike | None = None,
    ) -> tuple[Floats, Floats]:
        """Predict each row, then take one step of gradient descent on it, strictly in order.

        Cutting a block anywhere gives the same bits.

        Args:
            X: (n, inputs).
            y: (n,) or (n, targets): a class index for cross_entropy, otherwise one target an output.
            has_label: bool (n,); rows without a label are predicted only. None: all have one.
            weight: (n,), a factor on each sample's gradient.

        Returns:
            Predictions, float32 (n, outputs), each made before its row was learned; and losses, float32 (n,), NaN
            where there was no label.

        Raises:
            SpecError: an array has another shape than this.
        """
        rows, targets = _rows(X), _targets(y)
        flags = np.ones(len(rows), np.bool_) if has_label is None else np.asarray(has_label, np.bool_)
        weights = None if weight is None else np.asarray(weight, np.float32)
        outputs, losses = self._bank.predict_then_learn(rows, targets, flags, weights)
        return outputs[0], losses[0]

    def losses(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Return float32 (n,): the loss of each row of `X` against `y`, as they are now; nothing is learned.

        Raises:
            SpecError: an array has another shape than `predict_then_learn` asks for.
        """
        losses: Floats = self._bank.losses(_rows(X), _targets(y))[0]
        return losses

    def explain(self, X: npt.ArrayLike, target: int = -1, steps: int = 16) -> tuple[Floats, Floats]:
        """Return what the score of each row of `X` owes to each input; see `nnstream.explain` and `Bank.explain`.

        Raises:
            SpecError: `X` has another shape than (n, inputs), or there is no such output.
        """
        return self._bank.explain(_rows(X), target, steps)

    def with_batch_size(self, batch_size: int) -> "Network":
        """Return this network with mini-batches of another size: the same parameters and optimiser state.

        What one learns, the other knows, until one of the two is resized or restored. An unfinished mini-batch is
        shared too; `flush` ends it.

        Raises:
            SpecError: `batch_size` is below 1.
        """
        other = copy(self)
        other._bank = self._bank.with_batch_size(batch_size)  # noqa: SLF001  # its own kind
        return other

    def flush(self) -> None:
        """Take the step of an unfinished mini-batch with the mean gradient of the samples it has so far."""
        self._bank.flush()

    def resize(self, inputs: int, outputs: int, loss: str | None = None) -> None:
        """Widen the network, and change its loss where one is given; see `Bank.resize`.

        Raises:
            SpecError: it would have to shrink.
        """
        if inputs < self.spec.inputs or outputs < self.spec.outputs:
            raise SpecError(
                f"a network can only grow: it has {self.spec.inputs} inputs and {self.spec.outputs} outputs, "
                f"not more than {inputs} and {outputs}"
            )
        self._bank.resize(inputs, outputs, loss or self.spec.loss)

    def set_pace(self, factor: float) -> None:
        """Multiply the learning rate by `factor` from now on; see `Bank.set_pace`."""
        self._bank.set_pace(factor)

    def set_layer_rates(self, *factors: float) -> None:
        """Set the factor on the learning rate of each layer from now on: 0 freezes it, above 0 it learns (again).

        Raises:
            SpecError: there is not one usable factor a layer; see `NetworkSpec`.
        """
        self._bank.set_layer_rates(factors)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that, with the spec, are everything there is to know; not copies."""
        return self._bank.state()

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take over arrays that `state` gave; raises SpecError where a shape or dtype differs."""
        self._bank.restore(arrays)


def _rows(X: npt.ArrayLike) -> Floats:
    rows = np.asarray(X, np.float32)
    return rows[None, :] if rows.ndim == 1 else rows


def _targets(y: npt.ArrayLike) -> Floats:
    targets = np.asarray(y, np.float32)
    return targets[:, None] if targets.ndim == 1 else targets
