"""One layer and no hidden one: where the lineage starts."""

from nnstream.estimators.base import ModelClassifier
from nnstream.model import ModelSpec
from nnstream.optimizers import SGD, Optimizer
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Schedule
from nnstream.spec import NetworkSpec


class Perceptron(ModelClassifier):
    """A weighted sum through a threshold: -1 for the first class it met, +1 for the second (Rosenblatt 1958).

    Where the sum is on the wrong side, the sample is added to the weights, or taken off them; where it is on the
    right side, nothing happens. It decides and gives no probability: `predict_proba_one` says 1 for its class.
    With more than two classes there is one unit a class, and the highest score wins; where that is not the true
    class, the sample is added to the weights of the true one and taken off those of the one that won.

    Args:
        learning_rate: what a wrong sample is multiplied by.
        l2: penalty on half the sum of squared weights.
        memory: samples that the running means and spreads of the features look back.

    Example:
        >>> perceptron = Perceptron()
        >>> for _ in range(10):
        ...     for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        ...         perceptron.learn_one({"a": a, "b": b}, a and b)
        >>> [perceptron.predict_one({"a": a, "b": b}) for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]]
        [0, 0, 0, 1]
    """

    def __init__(self, learning_rate: float = 1.0, l2: float = 0.0, memory: float = float("inf")) -> None:
        self.learning_rate = learning_rate
        self.l2 = l2
        self.memory = memory
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(
            inputs=0,
            hidden=(),
            loss="perceptron",
            optimizer=SGD(self.learning_rate),
            regularization=Regularization(l2=self.l2),
            initializer="zeros",
        )
        return ModelSpec(task="classification", learner="network", network=network, memory=self.memory)


class LogisticNeuron(ModelClassifier):
    """A weighted sum through a sigmoid: a probability; one neuron a class and softmax where there are more than two.

    Args:
        optimizer: how the weights move; None is `SGD(0.05)`.
        schedule: how the learning rate changes with the steps; None keeps it.
        l1: penalty on the sum of absolute weights.
        l2: penalty on half the sum of squared weights.
        clip_norm: largest norm of a gradient; 0 is no limit.
        memory: samples that the running means and spreads of the features look back.

    Example:
        >>> from river import datasets, evaluate, metrics
        >>> evaluate.progressive_val_score(datasets.Phishing(), LogisticNeuron(), metrics.Accuracy())
        Accuracy: 90.07%
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        clip_norm: float = 5.0,
        memory: float = float("inf"),
    ) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.l1 = l1
        self.l2 = l2
        self.clip_norm = clip_norm
        self.memory = memory
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(
            inputs=0,
            hidden=(),
            optimizer=self.optimizer or SGD(0.05),
            schedule=self.schedule or Constant(),
            regularization=Regularization(l1=self.l1, l2=self.l2, clip_norm=self.clip_norm),
            initializer="zeros",
        )
        return ModelSpec(task="classification", learner="network", network=network, memory=self.memory)
