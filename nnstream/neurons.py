"""One neuron: where the lineage starts. Views on a `Network` that has no hidden layer; nothing learns here.

Both compute the weighted sum z = w·x + b and differ in what they make of it:

    Perceptron       z through a threshold: -1 or +1         learns only from its mistakes
    LogisticNeuron   z through the sigmoid: a probability    learns from every sample, by gradient descent

A network of many such neurons in layers is `nnstream.network.Network`; docs/learning.md walks from one to the other.
These take NumPy arrays; the estimators for dicts are in `nnstream.estimators`.
"""

import numpy as np
import numpy.typing as npt

from nnstream.errors import LabelError
from nnstream.network import Network
from nnstream.optimizers import SGD
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Schedule
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[np.float32]


class _Neuron:
    """A network of one output and no hidden layer, with its two parameters by name."""

    def __init__(self, spec: NetworkSpec) -> None:
        self._network = Network(spec)

    @property
    def network(self) -> Network:
        """Return the network that this is a view on: for `nnstream.training.fit`, snapshots and the like."""
        return self._network

    @property
    def weights(self) -> Floats:
        """Return float32 (inputs,): w; writing here changes the neuron."""
        return self._network.layers()[0][0][:, 0]

    @property
    def bias(self) -> Floats:
        """Return float32 (): b; a number to read, and `neuron.bias[...] = 0` writes it."""
        return self._network.layers()[0][1].reshape(())

    def _learn(self, x: npt.ArrayLike, target: float) -> None:
        self._network.predict_then_learn(np.atleast_2d(np.asarray(x, np.float32)), np.array([target], np.float32))


class Perceptron(_Neuron):
    """A weighted sum through a threshold, which learns from its mistakes (Rosenblatt 1958).

    The output is +1 where w·x + b > 0, else -1. For a sample with the label t in {-1, +1}, where t (w·x + b) <= 0:

        w ← w + t x,    b ← b + t

    otherwise nothing happens. That is gradient descent with the rate 1 on max(0, -t (w·x + b)). Weights and bias
    start at 0. If a hyperplane separates the labels with the margin γ and |x| <= R (x with the 1 of the bias), there
    are at most (R / γ)² mistakes, however many samples come (Novikoff 1962); if none does, it never settles.

    Args:
        inputs: number of input values.

    Example:
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, 1, 1, 1]
        >>> either = Perceptron(2)
        >>> for _ in range(10):
        ...     for x, t in zip(X, y):
        ...         either.learn_one(x, t)
        >>> [either.predict_one(x) for x in X]
        [-1, 1, 1, 1]

    References:
        F. Rosenblatt, "The perceptron", Psychological Review 65 (1958).
        A. Novikoff, "On convergence proofs on perceptrons" (1962).
    """

    def __init__(self, inputs: int) -> None:
        spec = NetworkSpec(inputs, hidden=(), loss="perceptron", optimizer=SGD(1.0), initializer="zeros")
        super().__init__(spec)

    def learn_one(self, x: npt.ArrayLike, y: int) -> None:
        """Apply the perceptron rule to one sample.

        Args:
            x: (inputs,).
            y: -1 or +1.

        Raises:
            LabelError: `y` is neither.
            SpecError: `x` has another shape.
        """
        if y not in (-1, 1):
            raise LabelError(f"a perceptron's label is -1 or +1, not {y!r}; for 0 and 1 say 2 * y - 1")
        self._learn(x, (y + 1) / 2)

    def predict_one(self, x: npt.ArrayLike) -> int:
        """Return -1 or +1 for `x` (inputs,)."""
        return int(self._network.predict(x)[0, 0])

    def predict_many(self, X: npt.ArrayLike) -> Floats:
        """Return float32 (n,), each -1 or +1, for the rows of `X` (n, inputs)."""
        return self._network.predict(X)[:, 0]


class LogisticNeuron(_Neuron):
    """A weighted sum through the sigmoid: the probability of label 1, learned by stochastic gradient descent.

    p = σ(w·x + b) = 1 / (1 + e^-(w·x + b)). For a sample with the label y in {0, 1} the loss is
    -y ln p - (1 - y) ln(1 - p), whose gradient by the sum is p - y, hence

        w ← w - η (p - y) x,    b ← b - η (p - y)

    As the perceptron's rule, but every sample moves the weights, by how wrong the probability was; and there is an
    optimum to converge to whether or not a hyperplane separates the labels. Weights and bias start at 0.

    Args:
        inputs: number of input values.
        learning_rate: η.
        l2: adds l2 |w|² / 2 to the loss.
        schedule: how η changes with the steps; None keeps it.

    Example:
        >>> neuron = LogisticNeuron(1, learning_rate=0.5)
        >>> for _ in range(100):
        ...     neuron.learn_one([-1.0], 0)
        ...     neuron.learn_one([1.0], 1)
        >>> neuron.predict_one([0.5]), neuron.probability_one([0.5]) > 0.8
        (1, True)

    References:
        D. R. Cox, "The regression analysis of binary sequences" (1958).
        H. Robbins and S. Monro, "A stochastic approximation method" (1951).
    """

    def __init__(
        self, inputs: int, learning_rate: float = 0.05, l2: float = 0.0, schedule: Schedule | None = None
    ) -> None:
        spec = NetworkSpec(
            inputs,
            hidden=(),
            optimizer=SGD(learning_rate),
            schedule=schedule or Constant(),
            regularization=Regularization(l2=l2),
            initializer="zeros",
        )
        super().__init__(spec)

    def learn_one(self, x: npt.ArrayLike, y: int) -> None:
        """Take one step of gradient descent on one sample.

        Args:
            x: (inputs,).
            y: 0 or 1.

        Raises:
            LabelError: `y` is neither.
            SpecError: `x` has another shape.
        """
        if y not in (0, 1):
            raise LabelError(f"a logistic neuron's label is 0 or 1, not {y!r}; for -1 and +1 say (y + 1) / 2")
        self._learn(x, y)

    def predict_one(self, x: npt.ArrayLike) -> int:
        """Return the more probable label, 0 or 1, for `x` (inputs,)."""
        return int(self.probability_one(x) > 0.5)  # noqa: PLR2004

    def probability_one(self, x: npt.ArrayLike) -> float:
        """Return the probability of label 1 for `x` (inputs,)."""
        return float(self._network.predict(x)[0, 0])

    def predict_many(self, X: npt.ArrayLike) -> Floats:
        """Return float32 (n,): the probability of label 1 for the rows of `X` (n, inputs)."""
        return self._network.predict(X)[:, 0]
