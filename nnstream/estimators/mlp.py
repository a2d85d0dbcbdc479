"""Multi-layer networks as River estimators."""

from nnstream.estimators.base import ModelClassifier, ModelRegressor
from nnstream.model import ModelSpec
from nnstream.optimizers import SGD, Optimizer
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Schedule
from nnstream.spec import NetworkSpec


class MLPClassifier(ModelClassifier):
    """A multi-layer network for two classes or more, learned one sample at a time.

    One sigmoid output for two classes, softmax once there are more; features and classes are added as they appear,
    and what was learned, optimiser state included, stays.

    Args:
        hidden: units of each hidden layer, from the input on.
        activation: of the hidden layers, by name (see `nnstream.activations`).
        optimizer: how the weights move; None is `SGD(0.05)`.
        schedule: how the learning rate changes with the steps; None keeps it.
        loss: `log` (probabilities) or `hinge` (scores, of which `predict_proba_one` shows the softmax).
        l1: penalty on the sum of absolute weights.
        l2: penalty on half the sum of squared weights.
        dropout: share of hidden units left out at each step.
        max_norm: largest norm of a unit's incoming weights; 0 is no limit.
        clip_norm: largest norm of a gradient; 0 is no limit.
        memory: samples that the running means and spreads of the features look back.
        seed: of the initial weights and of dropout.

    Example:
        >>> from river import datasets, evaluate, metrics
        >>> evaluate.progressive_val_score(datasets.Phishing(), MLPClassifier(), metrics.Accuracy())
        Accuracy: 87.91%
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (32,),
        activation: str = "relu",
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: str = "log",
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        max_norm: float = 0.0,
        clip_norm: float = 5.0,
        memory: float = float("inf"),
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.schedule = schedule
        self.loss = loss
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.max_norm = max_norm
        self.clip_norm = clip_norm
        self.memory = memory
        self.seed = seed
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(
            inputs=0,
            hidden=tuple(self.hidden),
            activation=self.activation,
            loss=self.loss,
            optimizer=self.optimizer or SGD(0.05),
            schedule=self.schedule or Constant(),
            regularization=Regularization(
                l1=self.l1, l2=self.l2, dropout=self.dropout, max_norm=self.max_norm, clip_norm=self.clip_norm
            ),
            seed=self.seed,
        )
        return ModelSpec(task="classification", learner="network", network=network, memory=self.memory)


class MLPRegressor(ModelRegressor):
    """A multi-layer network for one number, learned one sample at a time on a running scale of the labels.

    Args:
        hidden: units of each hidden layer, from the input on.
        activation: of the hidden layers, by name (see `nnstream.activations`).
        optimizer: how the weights move; None is `SGD(0.01)`.
        schedule: how the learning rate changes with the steps; None keeps it.
        loss: `squared`, `absolute`, `huber` or `quantile`.
        loss_shape: Huber's δ, in standard deviations of the label, or the quantile τ; other losses ignore it.
        l1: penalty on the sum of absolute weights.
        l2: penalty on half the sum of squared weights.
        dropout: share of hidden units left out at each step.
        max_norm: largest norm of a unit's incoming weights; 0 is no limit.
        clip_norm: largest norm of a gradient; 0 is no limit.
        memory: samples that the running means and spreads of features and labels look back.
        seed: of the initial weights and of dropout.

    Example:
        >>> from river import datasets, evaluate, metrics
        >>> evaluate.progressive_val_score(datasets.TrumpApproval(), MLPRegressor(), metrics.MAE())
        MAE: 0.330628
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (32,),
        activation: str = "relu",
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: str = "squared",
        loss_shape: float = 1.0,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        max_norm: float = 0.0,
        clip_norm: float = 5.0,
        memory: float = float("inf"),
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.schedule = schedule
        self.loss = loss
        self.loss_shape = loss_shape
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.max_norm = max_norm
        self.clip_norm = clip_norm
        self.memory = memory
        self.seed = seed
        self._begin()

    def _spec(self) -> ModelSpec:
        network = NetworkSpec(
            inputs=0,
            hidden=tuple(self.hidden),
            activation=self.activation,
            loss=self.loss,
            loss_shape=self.loss_shape,
            optimizer=self.optimizer or SGD(0.01),
            schedule=self.schedule or Constant(),
            regularization=Regularization(
                l1=self.l1, l2=self.l2, dropout=self.dropout, max_norm=self.max_norm, clip_norm=self.clip_norm
            ),
            seed=self.seed,
        )
        return ModelSpec(task="regression", learner="network", network=network, memory=self.memory)
