"""The learners that need no tuning, as River estimators."""

from nnstream.estimators.base import ModelClassifier, ModelRegressor
from nnstream.model import ModelSpec
from nnstream.spec import NetworkSpec


class OnlineClassifier(ModelClassifier):
    """A classifier with nothing to tune: an ensemble of small networks, mixed by what they are worth lately.

    See `nnstream.ensemble`.

    Args:
        seed: of the initial weights and of replay.

    Example:
        >>> from river import datasets, evaluate, metrics
        >>> evaluate.progressive_val_score(datasets.Bananas(), OnlineClassifier(), metrics.Accuracy())
        Accuracy: 88.79%
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(inputs=0, seed=self.seed)
        return ModelSpec(task="classification", learner="ensemble", network=network)


class OnlineRegressor(ModelRegressor):
    """A regressor with nothing to tune: an ensemble of small networks, mixed by what they are worth lately.

    See `nnstream.ensemble`.

    Args:
        seed: of the initial weights and of replay.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(inputs=0, loss="squared", seed=self.seed)
        return ModelSpec(task="regression", learner="ensemble", network=network)
