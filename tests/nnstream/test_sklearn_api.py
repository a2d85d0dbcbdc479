"""scikit-learn's own contract, and what the wrappers promise beyond it."""

import copy
import doctest
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from nnstream import sklearn_api
from nnstream.model import Model
from nnstream.optimizers import Adam
from nnstream.sklearn_api import SklearnClassifier, SklearnRegressor

DOES_NOT_APPLY = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a weight is a factor on one step's gradient; a row given twice is two steps, each from where the last one "
        "ended, and it moves the running means and spreads twice (scikit-learn's SGDClassifier and SGDRegressor "
        "expect this failure too)"
    ),
}
SKIPPED_BY_SCIKIT_LEARN = {
    "check_array_api_input": "runs only with SCIPY_ARRAY_API=1 in the environment",
}
ESTIMATORS = [
    SklearnClassifier(),
    SklearnClassifier(hidden=(), loss="hinge"),
    SklearnClassifier(optimizer=Adam(0.01), dropout=0.1),
    SklearnRegressor(),
    SklearnRegressor(hidden=(16, 16), activation="tanh", loss="huber"),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_passes_every_check_of_scikit_learn_that_applies(estimator):
    results = check_estimator(estimator, expected_failed_checks=DOES_NOT_APPLY, on_fail=None, on_skip=None)
    by_status = {
        status: {r["check_name"] for r in results if r["status"] == status} for status in ("failed", "skipped")
    }
    assert by_status["failed"] == set(), [r["exception"] for r in results if r["status"] == "failed"]
    assert by_status["skipped"] == set(SKIPPED_BY_SCIKIT_LEARN)
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(DOES_NOT_APPLY)  # and none is stale


def test_examples_in_docstrings():
    result = doctest.testmod(sklearn_api)
    assert result.attempted >= 6
    assert not result.failed


# -- in scikit-learn's company


@pytest.mark.parametrize(("load", "least"), [(load_iris, 0.93), (load_breast_cancer, 0.95)])
def test_classifies_in_cross_validation(load, least):
    X, y = load(return_X_y=True)
    assert cross_val_score(SklearnClassifier(), X, y).mean() > least
    assert cross_val_score(make_pipeline(StandardScaler(), SklearnClassifier()), X, y).mean() > least


def test_regresses_in_cross_validation():
    X, y = load_diabetes(return_X_y=True)
    model, baseline = SklearnRegressor(hidden=(), epochs=10), DummyRegressor()
    assert cross_val_score(model, X, y).mean() > cross_val_score(baseline, X, y).mean() + 0.35


def test_searches_a_grid():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(SklearnClassifier(epochs=3), {"hidden": [(), (8,)], "l2": [0.0, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_["l2"] == 0.0


def test_names_of_classes_stay_as_they_are():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = SklearnClassifier().fit(X, names)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert (model.predict(X) == names).mean() > 0.95
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)


def test_parameters_can_be_read_set_and_cloned():
    model = SklearnClassifier(hidden=(4,), optimizer=Adam(0.01), random_state=3)
    assert model.get_params()["optimizer"] == Adam(0.01)
    copied = clone(model.set_params(dropout=0.5))
    assert copied.get_params() == model.get_params()
    assert not hasattr(copied, "model_")


def test_missing_values_are_the_mean():
    X, y = load_iris(return_X_y=True)
    model = SklearnClassifier().fit(X, y)
    holes = X.copy()
    holes[::7, 2] = np.nan
    means = X.copy()
    means[::7, 2] = model.model_.encoder.state()["mean"][2]
    assert np.allclose(model.predict_proba(holes), model.predict_proba(means), atol=1e-6)


# -- partial_fit


@pytest.mark.parametrize("size", [1, 7, 569])
def test_partial_fit_is_one_step_a_row_however_the_rows_are_cut(size):
    X, y = load_breast_cancer(return_X_y=True)
    model = SklearnClassifier(optimizer=Adam(), dropout=0.2)
    for start in range(0, len(X), size):
        model.partial_fit(X[start : start + size], y[start : start + size], classes=[0, 1])
    straight = Model(model.model_.spec)
    straight.predict_then_learn([{str(j): v for j, v in enumerate(row)} for row in X.tolist()], y.tolist())
    assert model.model_.version == len(X)
    for name, array in straight.learner.state().items():
        assert np.array_equal(array, model.model_.learner.state()[name]), name


def test_partial_fit_says_what_is_wrong_with_classes():
    X, y = load_iris(return_X_y=True)
    model = SklearnClassifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y has classes \[2\] that are not among"):
        model.partial_fit(X, y, classes=[0, 1])
    model.partial_fit(X[:10], y[:10], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not the same as on the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"y has classes \[9\]"):
        model.partial_fit(X[:1], [9])
    assert model.predict_proba(X[:4]).shape == (4, 3)


def test_fit_starts_anew_and_partial_fit_goes_on():
    X, y = load_diabetes(return_X_y=True)
    model = SklearnRegressor(epochs=2).fit(X, y).fit(X, y)
    assert model.model_.version == 2 * len(X)
    model.partial_fit(X[:10], y[:10])
    assert model.model_.version == 2 * len(X) + 10


def test_weight_is_a_factor_on_the_gradient_in_both_ways_of_learning():
    X, y = load_diabetes(return_X_y=True)
    ones = SklearnRegressor(epochs=2).fit(X, y, sample_weight=np.ones(len(X)))
    assert np.array_equal(ones.predict(X), SklearnRegressor(epochs=2).fit(X, y).predict(X))
    none = SklearnRegressor().partial_fit(X, y, sample_weight=np.zeros(len(X)))
    start = SklearnRegressor()
    start.partial_fit(X[:1], y[:1], sample_weight=[0.0])
    assert np.array_equal(none.model_.learner.network.params, start.model_.learner.network.params)
    for wrong, message in [(-np.ones(len(X)), "Negative"), (np.ones(3), "expected"), (0.0, "non-zero")]:
        with pytest.raises(ValueError, match=message):
            SklearnRegressor().fit(X, y, sample_weight=wrong)


# -- state


@pytest.mark.parametrize(
    "copied",
    [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy],  # noqa: S301  # our own bytes
    ids=["pickle", "deepcopy"],
)
def test_goes_on_after_a_pickle_as_if_nothing_had_happened(copied):
    X, y = load_breast_cancer(return_X_y=True)
    model = SklearnClassifier(random_state=None).partial_fit(X[:300], y[:300], classes=[0, 1])
    other = copied(model)
    model.partial_fit(X[300:], y[300:])
    other.partial_fit(X[300:], y[300:])
    assert np.array_equal(model.predict_proba(X), other.predict_proba(X))


def test_a_pickle_before_the_first_fit():
    other = pickle.loads(pickle.dumps(SklearnRegressor(l1=0.1)))  # noqa: S301  # our own bytes
    assert other.l1 == 0.1
    with pytest.raises(NotFittedError):
        other.predict([[1.0]])
