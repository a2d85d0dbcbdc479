"""scikit-learn's interface over arrays: `fit`, `partial_fit`, `predict`, `predict_proba`. No learning happens here.

Needs scikit-learn: `pip install "nnstream[sklearn]"`; nothing else in nnstream imports this module. `partial_fit`
takes one step a row, in order; `fit` starts anew and goes through the rows `epochs` times, shuffled each time. NaN
is a missing value.
"""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError('nnstream.sklearn_api needs scikit-learn: pip install "nnstream[sklearn]"') from error

from nnstream import snapshot
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import SGD, Optimizer
from nnstream.regularizers import Regularization
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec

Array = npt.NDArray[Any]


class _ArrayEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: parameters to a model, arrays to rows.

    Attributes:
        model_: the model, once there is one; `nnstream.snapshot` takes a snapshot of it.
        n_features_in_: columns of `X`.
    """

    _task: Literal["classification", "regression"]
    _default_rate: float
    hidden: tuple[int, ...]
    activation: str
    optimizer: Optimizer | None
    loss: str
    l1: float
    l2: float
    dropout: float
    max_norm: float
    clip_norm: float
    memory: float
    epochs: int
    random_state: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the model as a snapshot, so that loading it checks what it is."""
        state: dict[str, Any] = super().__getstate__()
        model = state.get("model_")
        return state if model is None else {**state, "model_": (model.spec, snapshot.dump(model))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stored = state.get("model_")
        super().__setstate__(state if stored is None else {**state, "model_": _loaded(*stored)})

    def _new_model(self, classes: int, loss_shape: float) -> Model:
        network = NetworkSpec(
            inputs=0,
            hidden=tuple(self.hidden),
            activation=self.activation,
            loss=self.loss,
            loss_shape=loss_shape,
            optimizer=self.optimizer or SGD(self._default_rate),
            regularization=Regularization(
                l1=self.l1, l2=self.l2, dropout=self.dropout, max_norm=self.max_norm, clip_norm=self.clip_norm
            ),
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        spec = ModelSpec(
            task=self._task,
            learner="network",
            network=network,
            classes=tuple(range(classes)),
            features={str(column): FeatureSpec("number") for column in range(self.n_features_in_)},
            memory=self.memory,
        )
        return Model(spec)

    def _learn(self, X: Array, y: Array, weights: Array | None, *, epochs: int) -> None:
        """Take one step a row; in the order of the rows where there is one epoch, else shuffled."""
        rows, labels = _rows(X), y.tolist()
        order = np.arange(len(rows))
        shuffle = check_random_state(self.random_state).permutation
        for _ in range(epochs):
            if epochs > 1:
                order = shuffle(len(rows))
            weight = None if weights is None else weights[order].tolist()
            self.model_.predict_then_learn([rows[i] for i in order], [labels[i] for i in order], weights=weight)

    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return np.asarray(self.model_.predict(_rows(X)).outputs, np.float64)


class SklearnClassifier(ClassifierMixin, _ArrayEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A multi-layer network for two classes or more; `hidden=()` is logistic regression.

    Args:
        hidden: units of each hidden layer, from the input on.
        activation: of the hidden layers, by name (see `nnstream.activations`).
        optimizer: how the weights move; None is `SGD(0.05)`.
        loss: `log`, `hinge` or `perceptron`.
        l1: penalty on the sum of absolute weights.
        l2: penalty on half the sum of squared weights.
        dropout: share of hidden units left out at each step.
        max_norm: largest norm of a unit's incoming weights; 0 is no limit.
        clip_norm: largest norm of a gradient; 0 is no limit.
        memory: samples that the running means and spreads of the features look back.
        epochs: how often `fit` goes through the rows.
        random_state: of the initial weights, of dropout and of the order of rows in `fit`.

    Attributes:
        classes_: the classes, sorted.

    Example:
        >>> from sklearn.datasets import make_moons
        >>> X, y = make_moons(500, noise=0.1, random_state=0)
        >>> SklearnClassifier().fit(X, y).score(X, y) > 0.95
        True
    """

    _task = "classification"
    _default_rate = 0.05

    def __init__(
        self,
        hidden: tuple[int, ...] = (32,),
        activation: str = "relu",
        optimizer: Optimizer | None = None,
        loss: str = "log",
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        max_norm: float = 0.0,
        clip_norm: float = 5.0,
        memory: float = float("inf"),
        epochs: int = 20,
        random_state: Any = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.loss = loss
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.max_norm = max_norm
        self.clip_norm = clip_norm
        self.memory = memory
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Start anew and learn the rows `epochs` times.

        Args:
            X: (n, features) numbers.
            y: (n,) classes.
            sample_weight: (n,), a factor on each row's gradient.
        """
        X, y = self._validated(X, y, reset=True)
        weights = _weights(X, sample_weight, fit=True)
        self._begin(np.unique(y))
        self._learn(X, np.searchsorted(self.classes_, y), weights, epochs=self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Take one step a row, in order.

        Args:
            X: (n, features) numbers.
            y: (n,) classes.
            classes: all classes there will be; needed at the first call.
            sample_weight: (n,), a factor on each row's gradient.

        Raises:
            ValueError: `classes` is missing at the first call, differs at a later one, or misses one in `y`.
        """
        first = not hasattr(self, "model_")
        if first and classes is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: partial_fit(X, y, classes=[…])"
            )
        X, y = self._validated(X, y, reset=first)
        weights = _weights(X, sample_weight, fit=False)
        known = self.classes_ if classes is None else np.unique(classes)
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(f"classes={known} is not the same as on the first call to partial_fit: {self.classes_}")
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise ValueError(f"y has classes {unknown} that are not among classes={known}")
        if first:
            self._begin(known)
        self._learn(X, np.searchsorted(self.classes_, y), weights, epochs=1)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return float64 (n, classes), the probability of each class; a row sums to 1."""
        outputs = self._outputs(X)
        shares: npt.NDArray[np.float64] = outputs / outputs.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> Array:
        """Return (n,), the most probable class of each row."""
        best = self._outputs(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _begin(self, classes: Array) -> None:
        self.classes_ = classes
        self.model_ = self._new_model(len(classes), 1.0)

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        return X, column_or_1d(y, warn=True)


class SklearnRegressor(RegressorMixin, _ArrayEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A multi-layer network for one number; `hidden=()` is linear regression.

    Args:
        hidden: units of each hidden layer, from the input on.
        activation: of the hidden layers, by name (see `nnstream.activations`).
        optimizer: how the weights move; None is `SGD(0.01)`.
        loss: `squared`, `absolute`, `huber` or `quantile`.
        loss_shape: Huber's δ, in standard deviations of the label, or the quantile τ; other losses ignore it.
        l1: penalty on the sum of absolute weights.
        l2: penalty on half the sum of squared weights.
        dropout: share of hidden units left out at each step.
        max_norm: largest norm of a unit's incoming weights; 0 is no limit.
        clip_norm: largest norm of a gradient; 0 is no limit.
        memory: samples that the running means and spreads of features and labels look back.
        epochs: how often `fit` goes through the rows.
        random_state: of the initial weights, of dropout and of the order of rows in `fit`.

    Example:
        >>> from sklearn.datasets import make_friedman1
        >>> X, y = make_friedman1(1000, random_state=0)
        >>> SklearnRegressor().fit(X, y).score(X, y) > 0.9
        True
    """

    _task = "regression"
    _default_rate = 0.01

    def __init__(
        self,
        hidden: tuple[int, ...] = (32,),
        activation: str = "relu",
        optimizer: Optimizer | None = None,
        loss: str = "squared",
        loss_shape: float = 1.0,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        max_norm: float = 0.0,
        clip_norm: float = 5.0,
        memory: float = float("inf"),
        epochs: int = 20,
        random_state: Any = 0,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.optimizer = optimizer
        self.loss = loss
        self.loss_shape = loss_shape
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.max_norm = max_norm
        self.clip_norm = clip_norm
        self.memory = memory
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Start anew and learn the rows `epochs` times.

        Args:
            X: (n, features) numbers.
            y: (n,) numbers.
            sample_weight: (n,), a factor on each row's gradient.
        """
        X, y = self._validated(X, y, reset=True)
        weights = _weights(X, sample_weight, fit=True)
        self.model_ = self._new_model(0, self.loss_shape)
        self._learn(X, y, weights, epochs=self.epochs)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take one step a row, in order; arguments as those of `fit`."""
        first = not hasattr(self, "model_")
        X, y = self._validated(X, y, reset=first)
        weights = _weights(X, sample_weight, fit=False)
        if first:
            self.model_ = self._new_model(0, self.loss_shape)
        self._learn(X, y, weights, epochs=1)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return float64 (n,), the prediction for each row."""
        return self._outputs(X)[:, 0]

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True)
        return X, np.asarray(column_or_1d(y, warn=True), np.float64)


def _weights(X: Array, sample_weight: Any, *, fit: bool) -> npt.NDArray[np.float64] | None:
    """Return one weight a row; None where all rows count alike. Only a whole `fit` needs one that is not 0."""
    if sample_weight is None:
        return None
    weights = check_array(
        np.full(len(X), sample_weight) if isinstance(sample_weight, int | float) else sample_weight,
        ensure_2d=False,
        dtype=np.float64,
        input_name="sample_weight",
    )
    if weights.shape != (len(X),):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(len(X),)}!")
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to sample_weight")
    if fit and not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.asarray(weights, np.float64)


def _loaded(spec: ModelSpec, data: bytes) -> Model:
    return snapshot.load(data, spec)[0]


def _rows(X: Array) -> list[dict[str, float]]:
    names = [str(column) for column in range(X.shape[1])]
    return [dict(zip(names, row, strict=True)) for row in X.tolist()]
