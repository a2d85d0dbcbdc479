"""Widening a network in the middle of a stream: what was learned stays."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream.bank import STATE, Bank
from nnstream.errors import SpecError
from nnstream.initializers import INITIALIZERS
from nnstream.kernels import layout as at
from nnstream.network import Network
from nnstream.optimizers import COCOB, OPTIMIZERS, SGD, Adam
from nnstream.regularizers import Regularization
from nnstream.spec import NetworkSpec

COUNT = 200
every_hidden = pytest.mark.parametrize("hidden", [(), (6,), (6, 5)], ids=str)
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def trained(spec, count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    bank = Bank([spec])
    X = rng.normal(size=(count, spec.inputs)).astype(np.float32)
    classes = spec.loss == "cross_entropy"
    Y = rng.integers(0, spec.outputs, (count, 1)) if classes else X @ np.ones((spec.inputs, spec.outputs)) > 0
    bank.predict_then_learn(X, Y, np.ones(count, np.bool_))
    return bank, X


def pieces(bank, flat):
    """Weights and biases of each layer of a bank of one, as views of a flat array."""
    out, start = [], 0
    sizes = bank.specs[0].sizes
    for fan_in, fan_out in pairwise(sizes):
        out.append(flat[start : start + fan_in * fan_out].reshape(fan_in, fan_out))
        start += fan_in * fan_out
        out.append(flat[start : start + fan_out])
        start += fan_out
    return out


def widened(X, by):
    return np.concatenate([X, np.zeros((len(X), by), np.float32)], axis=1)


@every_hidden
@every_optimizer
def test_old_predictions_stay_where_new_inputs_are_zero(name, hidden):
    bank, X = trained(NetworkSpec(4, hidden=hidden, optimizer=OPTIMIZERS[name]()))
    before = bank.predict(X)
    bank.resize(7, 1, "log")
    # without hidden layers the sum over inputs is split into lanes by its length: same terms, other order
    np.testing.assert_allclose(bank.predict(widened(X, 3)), before, rtol=1e-6 if not hidden else 0)


@every_hidden
def test_old_weights_and_optimiser_state_move_along(hidden):
    bank, _ = trained(NetworkSpec(4, 3, hidden, loss="cross_entropy", optimizer=Adam(), seed=2))
    old = [bank.params.copy(), *bank.slots.reshape(2, -1).copy()]
    old_pieces = [pieces(bank, flat) for flat in old]
    powers, clocks = bank.powers.copy(), bank.clocks.copy()
    bank.resize(6, 5, "cross_entropy")
    for flat, before in zip([bank.params, *bank.slots.reshape(2, -1)], old_pieces, strict=True):
        for new, kept in zip(pieces(bank, flat), before, strict=True):
            assert np.array_equal(new[tuple(slice(0, n) for n in kept.shape)], kept)
    for flat in bank.slots.reshape(2, -1):  # and what is new has no history
        fresh = pieces(bank, flat)
        assert not fresh[0][4:].any()
        assert not fresh[-2][:, 3:].any()
        assert not fresh[-1][3:].any()
    assert np.array_equal(bank.powers, powers)
    assert np.array_equal(bank.clocks, clocks)


@pytest.mark.parametrize("initializer", [None, *INITIALIZERS])
def test_rows_added_later_equal_those_they_would_have_had(initializer):
    spec = NetworkSpec(4, hidden=(6, 5), initializer=initializer, seed=9)
    grown = Bank([spec])
    grown.resize(7, 1, "log")
    grown.resize(10, 1, "log")
    whole = Bank([replace(spec, inputs=10)])
    kind = initializer or "he"
    for rows, fan_in in ((slice(0, 4), 4), (slice(4, 7), 7), (slice(7, 10), 10)):
        fans = (fan_in + 6, 16) if kind == "glorot" else (fan_in, 10)
        scale = np.sqrt(fans[1] / fans[0])
        np.testing.assert_allclose(
            pieces(grown, grown.params)[0][rows], scale * pieces(whole, whole.params)[0][rows], rtol=1e-6
        )
    assert np.array_equal(grown.params[60:], whole.params[60:])


def test_rows_added_to_a_linear_model_start_at_zero():
    bank, _ = trained(NetworkSpec(4, hidden=()))
    bank.resize(6, 1, "log")
    assert not bank.params[4:6].any()


@every_hidden
@every_optimizer
def test_a_sigmoid_becomes_a_softmax_with_the_same_probabilities(name, hidden):
    bank, X = trained(NetworkSpec(4, hidden=hidden, optimizer=OPTIMIZERS[name]()))
    one = bank.predict(X)[0, :, 0]
    bank.resize(4, 2, "cross_entropy")
    two = bank.predict(X)[0]
    np.testing.assert_allclose(two[:, 1], one, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(two[:, 0], 1 - one, rtol=1e-5, atol=1e-6)


@every_hidden
def test_a_third_class_keeps_the_odds_of_the_two(hidden):
    bank, X = trained(NetworkSpec(4, hidden=hidden, optimizer=SGD(0.2)), 2000)
    one = bank.predict(X)[0, :, 0].astype(float)
    assert one.min() < 0.05  # sure of either class somewhere
    assert one.max() > 0.95
    bank.resize(4, 3, "cross_entropy")
    three = bank.predict(X)[0].astype(float)
    np.testing.assert_allclose(three[:, 1] / (three[:, 0] + three[:, 1]), one, rtol=1e-4, atol=1e-6)
    assert three[:, 2].max() <= 1 / 3 + 1e-6
    assert (three.argmax(axis=1) != 2).all()
    np.testing.assert_allclose(three[:, 2] ** 2, three[:, 0] * three[:, 1], rtol=1e-3, atol=1e-6)  # the mean score
    assert (three[:, 2] > 0).all()


@settings(max_examples=30, deadline=None)
@given(classes=st.integers(2, 6), more=st.integers(1, 3), seed=st.integers(0, 1000))
def test_a_new_class_is_at_most_as_probable_as_the_average(classes, more, seed):
    spec = NetworkSpec(4, classes, loss="cross_entropy", optimizer=SGD(0.3), seed=seed)
    bank, X = trained(spec, seed=seed)
    before = bank.predict(X)[0]
    bank.resize(4, classes + more, "cross_entropy")
    after = bank.predict(X)[0]
    old = after[:, :classes]
    np.testing.assert_allclose(old / old.sum(axis=1, keepdims=True), before, rtol=1e-3, atol=1e-5)
    assert (after[:, classes:].max(axis=1) <= old.mean(axis=1) * (1 + 1e-4)).all()
    assert np.isfinite(after).all()


@pytest.mark.parametrize("hidden", [(), (32,), (16, 16)], ids=str)
def test_the_first_event_of_a_third_class_does_not_drive_out_an_old_one(hidden):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    X = (rng.normal(scale=0.3, size=(3000, 2)) + np.where(y[:, None] == 1, 1, -1)).astype(np.float32)
    net = Network(NetworkSpec(2, hidden=hidden))
    net.predict_then_learn(X, y)
    net.resize(2, 3, "cross_entropy")
    net.predict_then_learn([1, -1], [2])
    assert (net.predict(X).argmax(axis=1) == y).mean() > 0.99
    for _ in range(100):
        net.predict_then_learn([[1, -1], [1, 1], [-1, -1]], [2, 1, 0])
    assert net.predict([1, -1]).argmax() == 2


@pytest.mark.parametrize("batch_size", [2, 8])
def test_a_mini_batch_in_progress_goes_on(batch_size):
    """Growing between two samples of a batch is the same as having been wide, but for the new rows' weights."""
    spec = NetworkSpec(
        3, hidden=(5,), optimizer=SGD(0.3), batch_size=batch_size, initializer="zeros", activation="tanh"
    )
    rng = np.random.default_rng(0)
    X = rng.normal(size=(41, 3)).astype(np.float32)
    Y, flags = (X[:, :1] > 0).astype(np.float32), np.ones(41, np.bool_)
    grown, wide = Bank([spec]), Bank([replace(spec, inputs=5)])
    start = rng.normal(size=(6, 6)).astype(np.float32)
    for bank in (grown, wide):  # the same weights, but the wide one has two more rows of zeros
        weights, biases, last, bias = pieces(bank, bank.params)
        weights[:3], biases[:], last[:], bias[:] = start[:3, :5], start[3, :5], start[4, :5, None], start[5, 0]
    grown.predict_then_learn(X[:21], Y[:21], flags[:21])
    assert grown.clocks[0, at.PENDING] == 21 % batch_size > 0
    grown.resize(5, 1, "log")
    grown.predict_then_learn(widened(X[21:], 2), Y[21:], flags[21:])
    wide.predict_then_learn(widened(X, 2), Y, flags)
    assert np.array_equal(grown.params, wide.params)
    assert np.array_equal(grown.clocks, wide.clocks)


def test_cocob_bets_on_new_weights_from_where_they_start():
    bank, _ = trained(NetworkSpec(4, hidden=(6,), optimizer=COCOB()))
    bank.resize(6, 3, "cross_entropy")
    start, now = pieces(bank, bank.slots.reshape(5, -1)[0]), pieces(bank, bank.params)
    assert np.array_equal(start[0][4:], now[0][4:])
    assert start[0][4:].any()
    assert np.array_equal(start[-2][:, 2], now[-2][:, 2])


@pytest.mark.parametrize("name", ["adam", "cocob", "ftrl", "adagrad"])
def test_a_grown_network_learns_on(name):
    bank, X = trained(
        NetworkSpec(4, hidden=(6,), optimizer=OPTIMIZERS[name](), regularization=Regularization(dropout=0.1))
    )
    before = bank.params.copy()
    bank.resize(6, 3, "cross_entropy")
    Y = np.random.default_rng(1).integers(0, 3, (COUNT, 1))
    outputs, losses = bank.predict_then_learn(widened(X, 2), Y, np.ones(COUNT, np.bool_))
    np.testing.assert_allclose(outputs.sum(axis=2), 1, rtol=1e-5)
    assert np.isfinite(losses).all()
    assert len(bank.params) > len(before)


def test_resizing_to_the_same_shape_changes_nothing():
    bank, _ = trained(NetworkSpec(4))
    before = {name: id(array) for name, array in bank.state().items()}
    bank.resize(4, 1, "log")
    assert {name: id(array) for name, array in bank.state().items()} == before


def test_a_network_refuses_to_shrink_and_labels_to_become_classes():
    net = Network(NetworkSpec(4, 2))
    for shape in ((3, 2), (4, 1)):
        with pytest.raises(SpecError, match="can only grow"):
            net.resize(*shape)
    with pytest.raises(SpecError, match="can not become classes"):
        net.resize(4, 2, "cross_entropy")


@pytest.mark.parametrize("name", STATE)
def test_restore_refuses_by_name(name):
    bank, _ = trained(NetworkSpec(4, optimizer=Adam()))
    before = {key: array.copy() for key, array in bank.state().items()}
    good = {key: array + 1 for key, array in before.items()}
    for bad in (good[name][:-1], good[name].astype(np.float16), good[name][None]):
        with pytest.raises(SpecError, match=rf"^{name} is .* but this network needs"):
            bank.restore(good | {name: bad})
    with pytest.raises(SpecError, match=rf"^{name} is missing"):
        bank.restore({key: array for key, array in good.items() if key != name})
    for key, array in bank.state().items():
        assert np.array_equal(array, before[key])
