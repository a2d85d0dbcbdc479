"""Imported networks predict what the originals predict, to 1e-6, and go on learning."""

import re
from itertools import pairwise

import numpy as np
import pytest
import safetensors.numpy
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from nnstream import activations
from nnstream.activations import Activation
from nnstream.errors import SnapshotDamagedError, SpecError
from nnstream.imports import from_scikit_learn, from_state_dict
from nnstream.optimizers import COCOB, Adam

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype(np.float32).astype(np.float64)
SCORES = X @ RNG.normal(size=(6, 3))
TARGETS = {"two": (SCORES[:, 0] > 0).astype(int), "three": SCORES.argmax(axis=1), "many": (SCORES > 0).astype(int)}


def sequential(sizes=(6, 9, 7, 3), seed=1):
    """What `nn.Sequential(Linear, ReLU, Linear, ReLU, Linear).state_dict()` holds."""
    rng = np.random.default_rng(seed)
    state = {}
    for k, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        state[f"{2 * k}.weight"] = rng.uniform(-0.6, 0.6, (fan_out, fan_in)).astype(np.float32)
        state[f"{2 * k}.bias"] = rng.uniform(-0.6, 0.6, fan_out).astype(np.float32)
    return state


def forward(state, activation, rows):
    """PyTorch's definition of Linear, y = x A^T + b, in float64."""
    for index in (0, 2, 4):
        rows = rows @ state[f"{index}.weight"].astype(np.float64).T + state[f"{index}.bias"]
        rows = activations.activate(Activation.of(activation), rows) if index < 4 else rows
    return rows


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "softplus"])
def test_a_state_dict_gives_the_same_function(activation):
    network = from_state_dict(sequential(), activation=activation, loss="squared")
    np.testing.assert_allclose(network.predict(X), forward(sequential(), activation, X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_file_is_read_as_the_dict_is(tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    np.savez(path, **sequential()) if suffix == "npz" else safetensors.numpy.save_file(sequential(), path)
    from_file = from_state_dict(path, activation="relu", loss="cross_entropy")
    from_dict = from_state_dict(sequential(), activation="relu", loss="cross_entropy")
    assert np.array_equal(from_file.params, from_dict.params)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((SnapshotDamagedError), match=f"not a whole .{suffix}"):
        from_state_dict(path, activation="relu", loss="log")


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_mlp_classifier_gives_its_probabilities(activation, target):
    original = MLPClassifier((8, 5), activation=activation, max_iter=15, random_state=0).fit(X, TARGETS[target])
    expected = original.predict_proba(X)
    expected = expected[:, 1:] if target == "two" else expected
    np.testing.assert_allclose(from_scikit_learn(original).predict(X), expected, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_regressors_give_their_predictions():
    network = MLPRegressor(hidden_layer_sizes=(8,), max_iter=15, random_state=0)
    for original in (network, SGDRegressor(random_state=0)):
        original.fit(X, SCORES[:, 0])
        got = from_scikit_learn(original).predict(X)[:, 0]
        np.testing.assert_allclose(got, original.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", ["two", "three"])
def test_an_sgd_classifier_gives_its_probabilities_and_its_scores(target):
    original = SGDClassifier(loss="log_loss", random_state=0, alpha=0.05).fit(X, TARGETS[target])
    got, expected = from_scikit_learn(original).predict(X), original.predict_proba(X)
    if target == "two":
        np.testing.assert_allclose(got[:, 0], expected[:, 1], rtol=0, atol=1e-6)
    else:
        np.testing.assert_allclose(got / got.sum(axis=1, keepdims=True), expected, rtol=0, atol=1e-6)
    original = SGDClassifier(random_state=0, alpha=0.05).fit(X, TARGETS[target])
    scores = original.decision_function(X).reshape(len(X), -1)
    np.testing.assert_allclose(from_scikit_learn(original).predict(X), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimizer", [Adam(), COCOB()], ids=["adam", "cocob"])
def test_an_imported_network_goes_on_from_where_it_was(optimizer):
    network = from_state_dict(sequential(), activation="relu", loss="cross_entropy", optimizer=optimizer)
    before = network.params.copy()
    _, losses = network.predict_then_learn(np.tile(X, (5, 1)), np.tile(TARGETS["three"], 5))
    assert losses[-400:].mean() < 0.8 * losses[:400].mean()
    assert np.abs(network.params - before).max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.running_mean": np.zeros(9)}, "'1.running_mean' belongs to no Linear layer"),
        ({"conv.weight": np.zeros((9, 6))}, "'conv.weight' belongs to no Linear layer"),
        ({"0.weight": np.zeros((9, 6, 3))}, "shape (9, 6, 3)"),
        ({"2.weight": np.zeros((7, 8))}, "layer 1 takes 8 values, but layer 0 gives 9"),
        ({"4.bias": np.zeros(2)}, "layer 2 has 3 units"),
        ({"6.bias": np.zeros(2)}, "'6.weight' is missing"),
        ({"0.bias": np.full(9, np.nan)}, "layer 0 holds parameters that are not finite"),
    ],
)
def test_what_is_no_chain_of_linear_layers_is_refused(change, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        from_state_dict(sequential() | change, activation="relu", loss="cross_entropy")


def test_estimators_that_cannot_be_taken_are_refused(tmp_path):
    with pytest.raises(SpecError, match="LogisticRegression has no network"):
        from_scikit_learn(LogisticRegression())
    with pytest.raises(SpecError, match="not fitted"):
        from_scikit_learn(MLPClassifier())
    with pytest.raises(SpecError, match="loss='modified_huber' cannot be taken; log_loss and hinge can"):
        from_scikit_learn(SGDClassifier(loss="modified_huber").fit(X, TARGETS["two"]))
    with pytest.raises(SpecError, match="there is no layer"):
        from_state_dict({}, activation="relu", loss="log")
    with pytest.raises(SpecError, match=r"must end in .safetensors or .npz"):
        from_state_dict(tmp_path / "weights.pt", activation="relu", loss="log")
