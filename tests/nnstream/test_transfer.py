"""Frozen layers, layers with their own learning rate, and networks on top of trained ones."""

from dataclasses import replace

import numpy as np
import pytest
from reference import ReferenceNetwork

from nnstream.errors import SpecError
from nnstream.network import Network
from nnstream.optimizers import COCOB, OPTIMIZERS, SGD, Adam, AdamW
from nnstream.regularizers import Regularization
from nnstream.spec import NetworkSpec
from nnstream.transfer import transfer

BASE = NetworkSpec(5, hidden=(9, 8, 6), activation="tanh", optimizer=SGD(0.05), seed=3)
ALL_PENALTIES = Regularization(l1=0.001, l2=0.01, max_norm=0.6, clip_value=0.2, clip_norm=0.5)


def stream(spec, count=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, spec.inputs)).astype(np.float32)
    return X, (np.sin(X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype(np.float32)


@pytest.mark.parametrize("rates", [(0, 0, 0, 1), (0, 1, 0, 1), (1, 0, 1, 0), (0, 0.5, 1, 1)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_frozen_layer_keeps_its_bits_and_the_others_learn(name, rates):
    if not OPTIMIZERS[name].takes_schedule:
        rates = tuple(float(rate > 0) for rate in rates)
    regularization = Regularization(dropout=0.1) if name == "ftrl" else replace(ALL_PENALTIES, dropout=0.1)
    spec = replace(BASE, optimizer=OPTIMIZERS[name](), regularization=regularization, layer_rates=rates, batch_size=3)
    network = Network(spec)
    before = [np.append(w, b) for w, b in network.layers()]
    network.predict_then_learn(*stream(spec))
    for rate, was, (w, b) in zip(rates, before, network.layers(), strict=True):
        assert np.array_equal(was, np.append(w, b)) == (rate == 0)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_factors_scale_each_layers_step_as_the_gradient_says(batch_size):
    rates = (0.25, 0.0, 2.0, 1.0)
    spec = replace(BASE, layer_rates=rates, batch_size=batch_size)
    network = Network(spec)
    reference = ReferenceNetwork(spec, network.params.copy())
    X, y = stream(spec, 4 * 30)
    factors = np.concatenate([np.full(w.size + b.size, r) for r, (w, b) in zip(rates, network.layers(), strict=True)])
    network.predict_then_learn(X, y)
    for start in range(0, len(X), batch_size):
        rows = range(start, start + batch_size)
        gradient = np.mean([reference.gradient(X[i], y[i : i + 1]) for i in rows], axis=0)
        reference.params -= 0.05 * factors * gradient
    np.testing.assert_allclose(network.params, reference.params, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(), AdamW(), COCOB()], ids=lambda o: type(o).__name__)
def test_factors_of_one_change_no_bit(optimizer):
    plain = Network(replace(BASE, optimizer=optimizer))
    ones = Network(replace(BASE, optimizer=optimizer, layer_rates=(1, 1, 1, 1)))
    X, y = stream(BASE)
    plain.predict_then_learn(X, y)
    ones.predict_then_learn(X, y)
    assert np.array_equal(plain.params, ones.params)


def test_frozen_layers_learn_exactly_what_a_head_on_their_outputs_learns():
    spec = replace(BASE, optimizer=Adam(), layer_rates=(0, 0, 0, 1))
    whole, head = Network(spec), Network(replace(BASE, inputs=6, hidden=(), optimizer=Adam(), initializer="zeros"))
    head.layers()[0][0][:] = whole.layers()[-1][0]
    X, y = stream(spec)
    hidden = X
    for w, b in whole.layers()[:-1]:
        hidden = np.tanh(hidden @ w + b)
    whole.predict_then_learn(X, y)
    head.predict_then_learn(hidden, y)
    np.testing.assert_allclose(whole.layers()[-1][0], head.layers()[0][0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cuts", [[50], [1, 2, 3, 77], list(range(1, 200))])
def test_any_cut_of_the_log_gives_the_same_bits_also_while_layers_thaw(cuts):
    def run(cuts):
        network = Network(replace(BASE, optimizer=Adam(), batch_size=7, layer_rates=(0, 0, 0.5, 1)))
        X, y = stream(BASE)
        parts = []
        for start, stop in zip([0, *cuts], [*cuts, 200], strict=True):
            if start == 50:
                network.set_layer_rates(0, 0.1, 0, 1)
            parts.append(network.predict_then_learn(X[start:stop], y[start:stop])[0])
        return np.concatenate(parts), network.params

    expected, given = run([50, 100]), run(sorted({50, *cuts}))
    assert np.array_equal(expected[0], given[0])
    assert np.array_equal(expected[1], given[1])


def test_a_layer_frozen_within_a_mini_batch_does_not_take_its_step():
    network = Network(replace(BASE, batch_size=10))
    X, y = stream(BASE)
    network.predict_then_learn(X[:5], y[:5])
    before = network.params.copy()
    network.set_layer_rates(0, 0, 0, 1)
    network.predict_then_learn(X[5:10], y[5:10])
    last = network.layers()[-1][0].size + 1
    assert np.array_equal(network.params[:-last], before[:-last])
    assert not np.array_equal(network.params[-last:], before[-last:])


def test_transfer_keeps_the_lower_layers_and_leaves_the_source_alone():
    source = Network(replace(BASE, outputs=4, loss="cross_entropy", optimizer=COCOB()))
    before = source.params.copy()
    student = transfer(source, cut=2, hidden=(7,), outputs=3, loss="cross_entropy")
    assert student.spec.sizes == (5, 9, 8, 7, 3)
    assert student.spec.layer_rates == (0, 0, 1, 1)
    X, _ = stream(BASE)
    student.predict_then_learn(X, np.arange(len(X)) % 3)
    for (w, b), (own_w, own_b) in zip(source.layers()[:2], student.layers()[:2], strict=True):
        assert np.array_equal(w, own_w)
        assert np.array_equal(b, own_b)
    assert np.array_equal(source.params, before)


def test_what_was_learned_before_helps_on_a_related_question():
    X, y = stream(BASE, 20_000)
    source = Network(replace(BASE, optimizer=Adam(0.003)))
    source.predict_then_learn(X, y)
    X, y = stream(BASE, 300, seed=1)
    question = 1 - y  # the opposite answer: the layers below fit, the output layer is worth nothing
    cold = min(  # with the best of its rates
        Network(replace(BASE, optimizer=Adam(rate))).predict_then_learn(X, question)[1].sum()
        for rate in (0.003, 0.01, 0.03)
    )
    warm = transfer(source, optimizer=Adam(0.01)).predict_then_learn(X, question)[1].sum()
    assert warm < 0.7 * cold


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((1, 1), "one factor a layer, 4"),
        ((0, 0, 0, 0), "freezes every layer"),
        ((1, -1, 1, 1), "is not -1"),
        ((1, float("nan"), 1, 1), "not nan"),
        ((1, 1e9, 1, 1), "not 1e"),
    ],
)
def test_factors_that_cannot_be_are_refused(rates, message):
    with pytest.raises(SpecError, match=message.replace("1e", "1")):
        replace(BASE, layer_rates=rates)
    network = Network(BASE)
    with pytest.raises(SpecError):
        network.set_layer_rates(*rates)
    assert network.spec == BASE


def test_optimisers_without_a_rate_take_no_factor():
    with pytest.raises(SpecError, match="COCOB sets its own rates"):
        replace(BASE, optimizer=COCOB(), layer_rates=(0.5, 1, 1, 1))


@pytest.mark.parametrize("cut", [0, -1, 5])
def test_layers_that_are_not_there_cannot_be_cut(cut):
    with pytest.raises(SpecError, match="between 1 and 4"):
        transfer(Network(BASE), cut=cut)
