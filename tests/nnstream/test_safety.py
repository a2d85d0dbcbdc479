"""Nothing that comes in, and no rate, leaves a NaN or an infinity in a network's weights."""

from dataclasses import replace

import numpy as np
import pytest
from test_gradients import OUTPUTS, make_spec, samples

from nnstream.bank import Bank
from nnstream.kernels import layout as at
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import OPTIMIZERS, SGD, Adam, AdamW
from nnstream.regularizers import Regularization
from nnstream.spec import NetworkSpec

COUNT, BAD = 60, 20
NOT_FINITE = [np.nan, np.inf, -np.inf]


def learn(bank, X, Y):
    with np.errstate(all="ignore"):
        return bank.predict_then_learn(X, Y, np.ones(len(X), np.bool_))


def check_finite(bank):
    for name, array in bank.state().items():
        if name != "grad":  # of a step that was not taken; overwritten by the next sample
            assert np.isfinite(array).all(), name


@pytest.mark.parametrize("bad", [*NOT_FINITE, 3e38, -3e38])
@pytest.mark.parametrize(("loss", "outputs"), OUTPUTS)
def test_a_broken_target_is_not_learned(loss, outputs, bad):
    spec = replace(make_spec("tanh", loss, outputs), optimizer=SGD(0.02))
    X, Y = samples(spec, COUNT)
    Y[BAD, -1] = bad
    bank = Bank([spec])
    outs, losses = learn(bank, X, Y)
    assert np.isfinite(outs).all()
    check_finite(bank)
    if not np.isfinite(bad):
        assert np.isnan(losses[0, BAD])
        assert np.isfinite(np.delete(losses[0], BAD)).all()
        without = Bank([spec])
        learn(without, np.delete(X, BAD, axis=0), np.delete(Y, BAD, axis=0))
        assert np.array_equal(bank.params, without.params)
        assert bank.clocks[0].tolist() == [COUNT - 1, COUNT, 0, 1]


@pytest.mark.parametrize("bad", [-1.0, 3.0, 1e9, -1e9, np.nan, np.inf])
@pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
def test_a_class_that_does_not_exist_touches_no_memory(loss, bad):
    spec = make_spec("relu", loss, 3)
    bank = Bank([spec, make_spec("tanh", loss, 3)])
    before = {name: array.copy() for name, array in bank.state().items()}
    _, losses = learn(bank, np.ones((4, 3), np.float32), np.full((4, 1), bad, np.float32))
    assert np.isnan(losses).all()
    assert (bank.clocks[:, at.SKIPPED] == 4).all()
    for name in ("params", "slots", "grad", "powers"):
        assert np.array_equal(getattr(bank, name), before[name]), name


@pytest.mark.parametrize("bad", NOT_FINITE)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "elu", "gelu", "softplus", "identity", "step"])
@pytest.mark.parametrize(("loss", "outputs"), OUTPUTS)
def test_a_broken_input_leaves_the_weights_finite(loss, outputs, activation, bad):
    spec = make_spec(activation, loss, outputs)
    X, Y = samples(spec, COUNT)
    X[BAD, 1] = bad
    bank = Bank([spec])
    learn(bank, X, Y)
    check_finite(bank)
    assert bank.clocks[0, at.SKIPPED] >= 1


@pytest.mark.parametrize("extra", ["", "clip_value", "clip_norm", "max_norm", "dropout", "batch"])
@pytest.mark.parametrize("loss", ["squared", "absolute", "log", "huber"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_that_diverges_leaves_the_weights_finite(name, loss, extra):
    kind = OPTIMIZERS[name]
    for rate in (3.0, 1e3, 1e6):
        optimizer = (
            kind()
            if name == "cocob"
            else kind(learning_rate=rate, **({"weight_decay": 1e-7} if kind is AdamW else {}))
        )
        regularization = Regularization() if extra in ("", "batch") else Regularization(**{extra: 0.5})
        spec = NetworkSpec(
            3, 1, (8, 8), loss=loss, optimizer=optimizer, regularization=regularization,
            batch_size=4 if extra == "batch" else 1,
        )  # fmt: skip
        X, Y = samples(spec, 300)
        bank = Bank([spec])
        learn(bank, 100 * X, Y)
        check_finite(bank)


def test_divergence_is_counted():
    spec = NetworkSpec(3, 1, loss="squared", optimizer=SGD(10.0))
    X, Y = samples(spec, 300)
    bank = Bank([spec])
    learn(bank, X, Y)
    steps, learned, pending, skipped = bank.clocks[0]
    assert skipped > 250
    assert (learned, pending, steps + skipped) == (300, 0, 300)


@pytest.mark.parametrize("clip", [{}, {"clip_value": 0.1}, {"clip_norm": 0.1}])
def test_clipping_does_not_turn_nan_into_a_gradient(clip):
    spec = NetworkSpec(3, loss="absolute", optimizer=Adam(), regularization=Regularization(**clip))
    X, Y = samples(spec, COUNT)
    X[BAD] = np.nan
    bank = Bank([spec])
    learn(bank, X, Y)
    assert bank.clocks[0, at.SKIPPED] == 1
    check_finite(bank)


def test_a_broken_sample_does_not_stop_a_mini_batch():
    spec = NetworkSpec(3, loss="squared", optimizer=SGD(0.01), batch_size=4)
    X, Y = samples(spec, 41)
    Y[BAD] = np.nan
    bank, without = Bank([spec]), Bank([spec])
    learn(bank, X, Y)
    learn(without, np.delete(X, BAD, axis=0), np.delete(Y, BAD, axis=0))
    assert np.array_equal(bank.params, without.params)
    assert bank.clocks[0].tolist() == [10, 41, 0, 1]


@pytest.mark.parametrize("weight", NOT_FINITE)
def test_a_broken_sample_weight_is_not_applied(weight):
    spec = NetworkSpec(3)
    X, Y = samples(spec, COUNT)
    weights = np.ones(COUNT, np.float32)
    weights[BAD] = weight
    bank = Bank([spec])
    bank.predict_then_learn(X, Y, np.ones(COUNT, np.bool_), weights)
    check_finite(bank)
    assert bank.clocks[0, at.SKIPPED] == 1


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1.7e308, -1.7e308])
def test_numbers_without_an_end_leave_an_ensemble_finite(bad):
    rng, model = np.random.default_rng(2), Model(ModelSpec(learner="ensemble"))
    rows = [{"x": bad if i % 9 == 0 else float(rng.normal()), "y": float(rng.normal())} for i in range(400)]
    outcome = model.predict_then_learn(rows, [row["y"] > 0 for row in rows])
    assert np.isfinite(outcome.losses[1:]).all()
    for name, array in model.learner.state().items():
        if not name.startswith("basis.recent"):
            assert np.isfinite(array).all(), name
