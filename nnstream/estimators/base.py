"""What every estimator shares: a `Model` underneath, River's methods above. No learning happens here."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from river import base

from nnstream.errors import FeatureError
from nnstream.estimators.frames import frame_like, labels_of, rows_of, series_like, weights_of
from nnstream.explain import Method
from nnstream.labels import Label
from nnstream.model import Model, ModelSpec

Features = Mapping[Any, Any]


class ModelEstimator(base.Estimator):  # type: ignore[misc]  # River has no types
    """An estimator whose state is one `Model`; a subclass says which, and calls `_begin` in its constructor."""

    @abstractmethod
    def _spec(self) -> ModelSpec:
        """Return what the model is."""

    def _begin(self) -> None:
        self._model = Model(self._spec())
        self._target_name: str | None = None

    @property
    def model(self) -> Model:
        """Return the model, for example to take a snapshot of it (`nnstream.snapshot`)."""
        return self._model

    def learn_one(self, x: Features, y: Label, w: float = 1.0) -> None:
        """Take one step on one sample.

        Args:
            x: features by name: numbers, texts, None or NaN where a value is missing, lists of numbers.
            y: the label.
            w: a factor on the sample's gradient.

        Raises:
            FeatureError: a value is not what its feature was so far; nothing has changed.
            LabelError: `y` is no class, or no finite number; nothing has changed.
        """
        self._model.learn_one(x, y, w)

    def learn_many(self, X: Any, y: Any, w: Any = 1.0) -> None:
        """Take one step on each row in order: the same bits as `learn_one` on each of them.

        Args:
            X: a data frame; a column is a feature.
            y: a series of labels.
            w: a factor on the gradients, one number or a series.

        Raises:
            FeatureError: a value is not what its feature was so far; every other row was learned.
            LabelError: a label is no class, or no finite number; nothing has changed.
        """
        rows = rows_of(X)
        labels, self._target_name = labels_of(y)
        for label in labels:
            self._model.check_label(label)
        weights = None if isinstance(w, int | float) and w == 1.0 else weights_of(w, len(rows))
        refused = self._model.predict_then_learn(rows, labels, weights=weights).refused
        for i, problem in refused.items():
            raise FeatureError(f"row {i}: {problem}; all rows but {list(refused)} were learned")

    def explain_one(
        self, x: Features, method: Method = "integrated_gradients", label: Label | None = None
    ) -> dict[Any, float]:
        """Return what each feature of `x` added to today's prediction.

        For a regressor in the units of the label, for a classifier in log-odds of a class; with integrated gradients
        they add up to the difference from the prediction for an event of which nothing is known. Equations and what
        is promised: `nnstream.explain`.

        Args:
            x: features.
            method: `integrated_gradients` or `gradient_x_input`.
            label: the class to explain; None takes the most probable one. A regressor has none.

        Raises:
            FeatureError: a value is not what its feature was so far.
            LabelError: the model has not met this class.
        """
        return self._model.explain_one(x, method, label).contributions

    def _predictions(self, X: Any) -> list[list[float]]:
        """Return for each row the probability of each class, or the number."""
        rows = rows_of(X)
        for row in rows:
            self._model.encoder.check(row)
        outputs: list[list[float]] = self._model.predict(rows).outputs.tolist()
        return outputs


class ModelClassifier(ModelEstimator, base.MiniBatchClassifier):  # type: ignore[misc]  # River has no types
    """A classifier over a `Model`: two classes or more, known as they appear."""

    @property
    def _multiclass(self) -> bool:
        return True

    def predict_proba_one(self, x: Features) -> dict[Label, float]:
        """Return the probability of each class seen so far; they sum to 1. Empty before the first label.

        Raises:
            FeatureError: a value is not what its feature was so far.
        """
        shares = _shares(self._model.predict_one(x))
        return dict(zip(self._model.classes.known, shares, strict=True))

    def predict_proba_many(self, X: Any) -> Any:
        """Return a data frame: a row for each of `X`, the probability of each class in a column."""
        shares = [_shares(row) for row in self._predictions(X)]
        return frame_like(X, {label: [row[k] for row in shares] for k, label in enumerate(self._model.classes.known)})

    def predict_many(self, X: Any) -> Any:
        """Return a series: the most probable class of each row, None before the first label."""
        known = self._model.classes.known
        best = [
            max(known, key=dict(zip(known, _shares(row), strict=True)).__getitem__, default=None)
            for row in self._predictions(X)
        ]
        return series_like(X, best, self._target_name)


class ModelRegressor(ModelEstimator, base.MiniBatchRegressor):  # type: ignore[misc]  # River has no types
    """A regressor over a `Model`."""

    def predict_one(self, x: Features) -> float:
        """Return the prediction, in the units of the labels; 0 before the first of them.

        Raises:
            FeatureError: a value is not what its feature was so far.
        """
        return self._model.predict_one(x)[0]

    def predict_many(self, X: Any) -> Any:
        """Return a series: the prediction for each row."""
        return series_like(X, [row[0] for row in self._predictions(X)], self._target_name)


def _shares(outputs: list[float]) -> list[float]:
    """Return float32 probabilities as float64 ones that sum to 1 in float64 as well."""
    if len(outputs) == 2:  # noqa: PLR2004
        return [1.0 - outputs[1], outputs[1]]
    total = sum(outputs)
    return [p / total for p in outputs]
