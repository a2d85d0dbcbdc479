"""Training on history: every output and loss learns its problem, and all modes find the same optimum."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize

from nnstream.errors import SpecError
from nnstream.network import Network
from nnstream.optimizers import SGD, Adam
from nnstream.regularizers import Regularization
from nnstream.schedules import Cosine, InverseTime
from nnstream.spec import NetworkSpec
from nnstream.training import fit, fit_stream
from nnstream.training.rows import shuffled

# ---- every output and every loss learns its problem


class Problem(NamedTuple):
    spec: NetworkSpec
    X: np.ndarray
    y: np.ndarray
    score: object  # of (predictions, targets): an error, the lower the better
    limit: float  # below it the problem is learned; no constant prediction comes near


def classes(predictions, y):
    return np.mean(predictions.argmax(axis=1) != y)


def side(predictions, y):
    return np.mean((predictions[:, 0] > 0) != (y > 0.5))


def half(predictions, y):
    return np.mean((predictions.reshape(y.shape) > 0.5) != (y > 0.5))


def relative_error(predictions, y):
    """Absolute error by that of the median: 1 is knowing nothing."""
    p = predictions.reshape(y.shape)
    return np.mean(np.abs(p - y)) / np.mean(np.abs(np.median(y, axis=0) - y))


def problems():
    rng = np.random.default_rng(3)
    X = rng.uniform(-1, 1, (2000, 2)).astype(np.float32)
    a, b = X.T
    net = NetworkSpec(2, hidden=(16,), activation="tanh", optimizer=Adam(0.01), seed=2)
    ring = (a * a + b * b < 0.5).astype(np.float32)
    quarter = ((a > 0) + 2 * (b > 0)).astype(np.float32)
    third = (np.digitize(np.hypot(a, b), [0.5, 0.8])).astype(np.float32)
    wave = np.sin(3 * a) + b * b
    flags = np.stack([a > 0, a * b > 0, a + b > 0.3], axis=1).astype(np.float32)
    several = np.stack([wave, a * b, a - b], axis=1)
    two, three = replace(net, outputs=2), replace(net, outputs=3)
    return {
        "log, binary": Problem(net, X, ring, half, 0.05),
        "log, multi-label": Problem(three, X, flags, half, 0.05),
        "cross_entropy, two classes": Problem(replace(two, loss="cross_entropy"), X, ring, classes, 0.05),
        "cross_entropy, four": Problem(replace(net, outputs=4, loss="cross_entropy"), X, quarter, classes, 0.05),
        # not tanh: odd units see nothing of an even ring, and the hinge loss is flat where all is on one side
        "hinge, binary": Problem(replace(net, loss="hinge", activation="relu"), X, ring, side, 0.05),
        "hinge, three classes": Problem(replace(three, loss="hinge"), X, third, classes, 0.1),
        "squared": Problem(replace(net, loss="squared"), X, wave, relative_error, 0.1),
        "squared, three outputs": Problem(replace(three, loss="squared"), X, several, relative_error, 0.1),
        "absolute": Problem(replace(net, loss="absolute"), X, wave, relative_error, 0.1),
        "absolute, three outputs": Problem(replace(three, loss="absolute"), X, several, relative_error, 0.1),
        "huber": Problem(replace(net, loss="huber", loss_shape=0.5), X, wave, relative_error, 0.1),
        "quantile": Problem(replace(net, loss="quantile", loss_shape=0.5), X, wave, relative_error, 0.1),
        "perceptron": Problem(
            replace(net, hidden=(), loss="perceptron"), X, (a + 2 * b > 0.4).astype(np.float32), side, 0.03
        ),
    }


PROBLEMS = problems()


@pytest.mark.parametrize("name", PROBLEMS)
def test_learns_what_it_is_for(name):
    problem = PROBLEMS[name]
    train, test = slice(0, 1500), slice(1500, None)
    network = Network(problem.spec)
    untrained = problem.score(network.predict(problem.X[test]), problem.y[test])
    fit(network, problem.X[train], problem.y[train], batch_size=16, epochs=80)
    assert problem.score(network.predict(problem.X[test]), problem.y[test]) < problem.limit < 0.7 * untrained


@pytest.mark.parametrize(("loss", "low", "high"), [("absolute", 0, 0.2), ("huber", 0, 0.4), ("squared", 2, 99)])
def test_outliers_pull_squared_loss_and_not_absolute_loss(loss, low, high):
    spec, X, wave, *_ = PROBLEMS["squared"]
    spiked = np.where(np.random.default_rng(0).random(len(wave)) < 0.1, wave + 30, wave)
    network = Network(replace(spec, loss=loss))
    fit(network, X, spiked, batch_size=16, epochs=80)
    assert low <= relative_error(network.predict(X), wave) < high


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_a_share_tau_of_the_targets_lies_below_the_quantile(tau):
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (4000, 1))
    y = X[:, 0] + (0.2 + 0.5 * np.abs(X[:, 0])) * rng.standard_exponential(4000)
    spec = NetworkSpec(1, hidden=(16,), activation="tanh", loss="quantile", loss_shape=tau, optimizer=Adam(0.01))
    network = Network(replace(spec, schedule=Cosine(period=40 * 4000 // 32)))
    fit(network, X, y, batch_size=32, epochs=40)
    below = y < network.predict(X)[:, 0]
    assert below.mean() == pytest.approx(tau, abs=0.02)
    for side_of_zero in (X[:, 0] < 0, X[:, 0] >= 0):  # everywhere, not only on average
        assert below[side_of_zero].mean() == pytest.approx(tau, abs=0.05)


# ---- all modes converge to the same optimum

# The rates fall where a mini-batch is noisy: without that, SGD dances around the optimum for ever.
MODES = {
    "stochastic": {"batch_size": 1, "epochs": 200, "schedule": InverseTime(decay=2e-3)},
    "mini-batch 8": {"batch_size": 8, "epochs": 200, "schedule": InverseTime(decay=5e-3)},
    "mini-batch 32": {"batch_size": 32, "epochs": 300, "schedule": InverseTime(decay=1e-2)},
    "batch": {"batch_size": None, "epochs": 3000},
}
L2 = 0.1


def regression():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(403, 3)).astype(np.float32)  # 403: the last mini-batch of an epoch is never full
    y = (X @ [1.5, -2.0, 0.5] + 0.7 + 0.3 * rng.normal(size=403)).astype(np.float32)
    return X, y


def with_mode(spec, mode):
    mode = dict(MODES[mode])
    schedule = mode.pop("schedule", None)
    return replace(spec, schedule=schedule) if schedule else spec, mode


@pytest.mark.parametrize("mode", MODES)
def test_linear_regression_finds_the_closed_form(mode):
    X, y = regression()
    A = np.column_stack([X, np.ones(len(X))]).astype(np.float64)
    # the gradient of mean (w·x - y)² + L2/2 |w|² is 0, the bias without a penalty
    best = np.linalg.solve(2 * A.T @ A / len(X) + np.diag([L2, L2, L2, 0]), 2 * A.T @ y / len(X))
    plain = np.linalg.lstsq(A, y, rcond=None)[0]
    assert np.abs(best - plain).max() > 0.05  # so that forgetting the penalty would be seen

    spec, options = with_mode(
        NetworkSpec(3, hidden=(), loss="squared", optimizer=SGD(0.03), regularization=Regularization(l2=L2)), mode
    )
    network = Network(spec)
    fit(network, X, y, **options)
    assert network.params == pytest.approx(best, abs=1e-4 if mode == "batch" else 0.01)


@pytest.mark.parametrize("mode", MODES)
def test_logistic_regression_finds_the_optimum(mode):
    X, numbers = regression()
    y = (numbers + np.random.default_rng(6).logistic(size=len(X)) > 0.7).astype(np.float32)

    def objective(p):
        z = X.astype(np.float64) @ p[:3] + p[3]
        return np.mean(np.logaddexp(0, z) - y * z) + L2 / 2 * p[:3] @ p[:3]

    best = minimize(objective, np.zeros(4), tol=1e-10).x
    spec, options = with_mode(
        NetworkSpec(3, hidden=(), optimizer=SGD(0.1), regularization=Regularization(l2=L2)), mode
    )
    network = Network(spec)
    fit(network, X, y, **options)
    assert network.params == pytest.approx(best, abs=1e-4 if mode == "batch" else 0.01)


# ---- mini-batches


def test_a_step_is_the_mean_gradient_of_its_batch_and_the_last_batch_is_what_is_left():
    X, y = regression()
    X, y = X[:11], y[:11]
    w = np.zeros(4)
    A = np.column_stack([X, np.ones(11)])
    for part in (slice(0, 4), slice(4, 8), slice(8, 11)):
        w -= 0.05 * np.mean(2 * (A[part] @ w - y[part])[:, None] * A[part], axis=0)
    network = Network(NetworkSpec(3, hidden=(), loss="squared", optimizer=SGD(0.05), initializer="zeros"))
    fit(network, X, y, batch_size=4, epochs=1, shuffle_seed=None)
    assert network.params == pytest.approx(w, abs=1e-6)


def test_flush_takes_the_step_of_what_is_there():
    X, y = regression()
    spec = NetworkSpec(3, hidden=(4,), loss="squared", optimizer=Adam(0.01), batch_size=8)
    network, exact = Network(spec), Network(replace(spec, batch_size=5))
    network.predict_then_learn(X[:5], y[:5])
    untouched = network.params.copy()
    assert np.array_equal(untouched, Network(spec).params)
    network.flush()
    exact.predict_then_learn(X[:5], y[:5])
    assert np.array_equal(network.params, exact.params)
    network.flush()  # nothing is pending: nothing happens
    assert np.array_equal(network.params, exact.params)


def test_an_unfinished_online_batch_is_not_mixed_with_the_training():
    X, y = regression()
    spec = NetworkSpec(3, hidden=(), loss="squared", batch_size=8)
    one, other = Network(spec), Network(spec)
    for network in (one, other):
        network.predict_then_learn(X[:5], y[:5])
    other.flush()
    for network in (one, other):
        fit(network, X, y, batch_size=32, epochs=1)
    assert np.array_equal(one.params, other.params)
    assert one.spec.batch_size == 8


def test_a_network_with_another_batch_size_is_the_same_network():
    X, y = regression()
    network = Network(NetworkSpec(3, hidden=(), loss="squared"))
    other = network.with_batch_size(4)
    other.predict_then_learn(X, y)
    assert np.shares_memory(network.params, other.params)
    assert network.samples_learned == len(X)
    assert (network.spec.batch_size, other.spec.batch_size) == (1, 4)
    with pytest.raises(SpecError, match="batch_size must be at least 1"):
        network.with_batch_size(0)


def test_losses_learns_nothing_and_says_what_learning_would_say():
    X, y = regression()
    network = Network(
        NetworkSpec(3, loss="huber", batch_size=8, optimizer=Adam(), regularization=Regularization(dropout=0.3))
    )
    network.predict_then_learn(X[:13], y[:13])
    before = {name: array.copy() for name, array in network.state().items()}
    losses = network.losses(X, y)
    assert all(np.array_equal(before[name], array) for name, array in network.state().items())
    still = network.with_batch_size(10**6)  # it never comes to a step
    assert np.array_equal(losses, still.predict_then_learn(X, y)[1])


# ---- the same bits


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_two_runs_give_the_same_bits(batch_size):
    X, y = regression()
    spec = NetworkSpec(3, loss="squared", optimizer=Adam(), regularization=Regularization(dropout=0.2), seed=4)
    runs = []
    for _ in range(2):
        network = Network(spec)
        history = fit(network, X, y, batch_size=batch_size, epochs=4, validation=0.2, shuffle_seed=9)
        runs.append((network.params.tobytes(), history))
    assert runs[0] == runs[1]
    network = Network(spec)
    fit(network, X, y, batch_size=batch_size, epochs=4, validation=0.2, shuffle_seed=10)
    assert network.params.tobytes() != runs[0][0]


def test_the_order_of_an_epoch_is_a_permutation_that_never_changes():
    assert shuffled(8, 0, 1).tolist() == [5, 3, 7, 2, 4, 1, 0, 6]  # written down: the same on every machine
    assert sorted(shuffled(1000, 3, 1)) == list(range(1000))
    assert shuffled(1000, 3, 1).tolist() != shuffled(1000, 3, 2).tolist() != shuffled(1000, 4, 2).tolist()


@pytest.mark.parametrize("cut", [1, 7, 64, 1000])
@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_how_a_stream_is_cut_makes_no_difference(cut, batch_size):
    X, y = regression()
    spec = NetworkSpec(3, loss="squared", seed=4)
    whole, streamed = Network(spec), Network(spec)
    expected = fit(whole, X, y, batch_size=batch_size, epochs=3, shuffle_seed=None, validation=(X, y))
    blocks = [(X[i : i + cut], y[i : i + cut]) for i in range(0, len(X), cut)]
    history = fit_stream(streamed, blocks, batch_size=batch_size, epochs=3, validation=(X, y))
    assert streamed.params.tobytes() == whole.params.tobytes()
    assert history == expected


def test_an_iterator_is_one_epoch():
    X, y = regression()
    network = Network(NetworkSpec(3, loss="squared"))
    seen = []
    fit_stream(network, iter([(X, y), (X, y)]), on_epoch=seen.append)
    assert [epoch.samples for epoch in seen] == [2 * len(X)]
    with pytest.raises(SpecError, match="gives its blocks once"):
        fit_stream(network, iter([(X, y)]), epochs=2)
    with pytest.raises(SpecError, match="no rows"):
        fit_stream(network, [])
