"""The compiled step against plain NumPy, sample by sample, with everything that a spec can switch on."""

from dataclasses import replace

import numpy as np
import pytest
from reference import ReferenceNetwork, dropout_mask

from nnstream.bank import Bank
from nnstream.errors import SpecError
from nnstream.kernels import layout as at
from nnstream.kernels.step import predict_then_learn
from nnstream.optimizers import COCOB, OPTIMIZERS, SGD, Adam, AdamW, FTRLProximal, Momentum
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Cosine, Exponential, InverseTime, StepDecay
from nnstream.spec import NetworkSpec

BASE = NetworkSpec(4, hidden=(6, 5), activation="tanh", optimizer=SGD(0.05), seed=7)
SPECS = {
    **{name: replace(BASE, optimizer=kind()) for name, kind in OPTIMIZERS.items()},
    "step decay": replace(BASE, schedule=StepDecay(factor=0.7, every=20)),
    "step decay, long": replace(BASE, schedule=StepDecay(factor=0.99, every=1)),
    "inverse time": replace(BASE, schedule=InverseTime(decay=0.02)),
    "exponential": replace(BASE, schedule=Exponential(decay=0.02)),
    "cosine": replace(BASE, schedule=Cosine(period=100, floor=0.1)),
    "warm-up": replace(BASE, schedule=Constant(warmup=50)),
    "cosine, warm-up, momentum": replace(BASE, optimizer=Momentum(), schedule=Cosine(30, period=90, floor=0.2)),
    "l1": replace(BASE, regularization=Regularization(l1=0.003)),
    "l2": replace(BASE, regularization=Regularization(l2=0.02)),
    "clip value": replace(BASE, regularization=Regularization(clip_value=0.05)),
    "clip norm": replace(BASE, regularization=Regularization(clip_norm=0.3)),
    "max norm": replace(BASE, regularization=Regularization(max_norm=0.8)),
    "all at once": replace(
        BASE,
        optimizer=AdamW(0.003, weight_decay=1.0),
        regularization=Regularization(l1=0.001, l2=0.01, max_norm=1.5, clip_value=0.2, clip_norm=0.5),
        schedule=InverseTime(10, decay=0.01),
    ),
    "adamw": replace(BASE, optimizer=AdamW(0.01, weight_decay=0.5)),
    "ftrl, l1 and l2": replace(BASE, optimizer=FTRLProximal(0.2), regularization=Regularization(l1=0.05, l2=0.1)),
    "dropout": replace(BASE, regularization=Regularization(dropout=0.4)),
    "dropout, relu, adam": replace(
        BASE, activation="relu", optimizer=Adam(0.003), regularization=Regularization(dropout=0.2)
    ),
    "mini-batch 8": replace(BASE, batch_size=8, optimizer=SGD(0.3)),
    "mini-batch 32, dropout": replace(BASE, batch_size=32, regularization=Regularization(dropout=0.3)),
    "mini-batch 8, adam": replace(BASE, batch_size=8, optimizer=Adam(0.01)),
    "three classes": replace(BASE, outputs=3, loss="cross_entropy"),
    "multi-label": replace(BASE, outputs=3),
    "regression": replace(BASE, outputs=2, loss="squared", optimizer=SGD(0.01)),
    "linear": replace(BASE, hidden=()),
    "deep": replace(BASE, hidden=(8, 7, 6, 5), activation="gelu"),
}


def stream(spec, count=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, spec.inputs)).astype(np.float32)
    X[rng.random(X.shape) < 0.2] = 0  # the kernel skips zeros
    scores = X @ rng.normal(size=(spec.inputs, spec.outputs)) + 0.3 * rng.normal(size=(count, spec.outputs))
    match spec.loss:
        case "cross_entropy":
            Y = scores.argmax(axis=1)[:, None]
        case "squared":
            Y = scores
        case _:
            Y = scores > 0
    return X, Y.astype(np.float32)


def labelled(count):
    return np.ones(count, np.bool_)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize("name", SPECS)
def test_the_kernel_follows_the_reference(name, weighted):
    spec = SPECS[name]
    X, Y = stream(spec)
    weight = np.random.default_rng(1).uniform(0, 2, len(X)).astype(np.float32) if weighted else np.ones(len(X))
    bank = Bank([spec])
    reference = ReferenceNetwork(spec, bank.params)
    start = bank.params.copy()
    outputs, losses = bank.predict_then_learn(X, Y, labelled(len(X)), weight)
    expected = [reference.predict_then_learn(x, y, w) for x, y, w in zip(X, Y, weight, strict=True)]
    np.testing.assert_allclose(outputs[0], [p for p, _ in expected], rtol=2e-3, atol=3e-4)
    np.testing.assert_allclose(losses[0], [loss for _, loss in expected], rtol=2e-3, atol=5e-4)
    np.testing.assert_allclose(bank.params, reference.params, rtol=2e-3, atol=3e-4)
    assert np.abs(reference.params - start).max() > 0.01
    steps, rest = divmod(len(X), spec.batch_size)
    assert bank.clocks[0].tolist() == [steps, len(X), rest, 0]


@pytest.mark.parametrize("name", ["sgd", "adam", "mini-batch 32, dropout", "three classes"])
def test_unlabelled_rows_are_predicted_and_not_learned(name):
    spec = SPECS[name]
    X, Y = stream(spec)
    has_label = np.random.default_rng(2).random(len(X)) < 0.5
    whole, only = Bank([spec]), Bank([spec])
    outputs, losses = whole.predict_then_learn(X, Y, has_label)
    some_outputs, some_losses = only.predict_then_learn(X[has_label], Y[has_label], labelled(has_label.sum()))
    assert np.isnan(losses[0, ~has_label]).all()
    assert np.array_equal(losses[0, has_label], some_losses[0])
    assert np.array_equal(outputs[0, has_label], some_outputs[0])
    for key, array in whole.state().items():
        assert np.array_equal(array, only.state()[key]), key
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_its_share_and_scales_up_the_rest(rate):
    spec = NetworkSpec(4, hidden=(50, 30), seed=5, regularization=Regularization(dropout=rate))
    masks = np.array([dropout_mask(spec, sample) for sample in range(500)])
    keep = np.float32(1 / (1 - np.float32(rate)))
    assert set(np.unique(masks.astype(np.float32))) == {0, keep}
    assert abs((masks == 0).mean() - rate) < 0.01
    assert abs((masks == 0).mean(axis=0) - rate).max() < 0.1  # no unit is always out
    assert abs(masks.mean() - 1) < 0.05


def test_dropout_is_drawn_anew_for_each_sample_and_seed_and_the_same_on_replay():
    spec = SPECS["dropout"]
    first, second = dropout_mask(spec, 0), dropout_mask(spec, 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, dropout_mask(replace(spec, seed=8), 0))
    X, Y = stream(spec)
    ends = []
    for _ in range(2):  # stop half way, restore into a new bank, go on
        begun, resumed = Bank([spec]), Bank([spec])
        begun.predict_then_learn(X[:150], Y[:150], labelled(150))
        resumed.restore(begun.state())
        resumed.predict_then_learn(X[150:], Y[150:], labelled(150))
        ends.append(resumed.params)
    straight = Bank([spec])
    straight.predict_then_learn(X, Y, labelled(300))
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(ends[0], straight.params)


def test_predictions_are_made_without_dropout():
    spec = SPECS["dropout"]
    X, _ = stream(spec)
    plain = Bank([replace(spec, regularization=Regularization())])
    assert np.array_equal(Bank([spec]).predict(X), plain.predict(X))


def test_networks_of_a_bank_do_not_touch_each_other():
    names = ["sgd", "dropout, relu, adam", "cocob", "mini-batch 8, adam", "linear", "deep", "ftrl, l1 and l2"]
    X, Y = stream(BASE)
    together = Bank([SPECS[name] for name in names])
    outputs, losses = together.predict_then_learn(X, Y, labelled(len(X)))
    for m, name in enumerate(names):
        alone = Bank([SPECS[name]])
        own_outputs, own_losses = alone.predict_then_learn(X, Y, labelled(len(X)))
        assert np.array_equal(outputs[m], own_outputs[0]), name
        assert np.array_equal(losses[m], own_losses[0]), name
        assert np.array_equal(together.params[together.span(m)], alone.params), name
        assert np.array_equal(together.slots[together.slot_span(m)], alone.slots), name
        assert np.array_equal(together.clocks[m], alone.clocks[0]), name


def test_one_compilation_serves_every_network_and_every_array():
    for spec in SPECS.values():
        X, Y = stream(spec, 10)
        read_only = X.copy()
        read_only.flags.writeable = False
        bank = Bank([spec])
        for rows in (X, np.asfortranarray(X), read_only, X.astype(np.float64), X[::-1][::-1], X[:1], X[:0]):
            bank.predict_then_learn(rows, Y[: len(rows)], labelled(len(rows)))
        bank.predict(X)
        bank.resize(spec.inputs + 1, spec.outputs, spec.loss)
        bank.restore({name: array.copy() for name, array in bank.state().items()})
        bank.predict(np.zeros((2, spec.inputs + 1)))
    assert len(predict_then_learn.signatures) == 1


def test_array_layouts_give_the_same_bits():
    X, Y = stream(BASE)
    ends = []
    for rows in (X, np.asfortranarray(X), X.astype(np.float64), X.astype(">f4")):
        bank = Bank([BASE])
        bank.predict_then_learn(rows, Y, labelled(len(X)))
        ends.append(bank.params)
    assert all(np.array_equal(ends[0], end) for end in ends)


@pytest.mark.parametrize("name", ["X", "Y", "has_label", "weight"])
def test_a_wrong_shape_is_refused_by_name(name):
    X, Y = stream(BASE, 10)
    arrays = {"X": X, "Y": Y, "has_label": labelled(10), "weight": np.ones(10)}
    arrays[name] = arrays[name][:9] if name != "X" else X[:, :3]
    with pytest.raises(SpecError, match=rf"{name} must have the shape"):
        Bank([BASE]).predict_then_learn(**arrays)


def test_a_sample_of_weight_zero_is_counted_and_teaches_nothing():
    X, Y = stream(BASE, 50)
    bank = Bank([BASE])
    before = bank.params.copy()
    bank.predict_then_learn(X, Y, labelled(50), np.zeros(50))
    assert np.array_equal(bank.params, before)
    assert bank.clocks[0, at.SAMPLES] == 50


def test_cocob_survives_gradients_whose_square_is_no_float32():
    spec = NetworkSpec(2, hidden=(), optimizer=COCOB(), initializer="zeros")
    bank = Bank([spec])
    X = np.full((20, 2), 1e-25, np.float32)
    bank.predict_then_learn(X, np.ones((20, 1)), labelled(20))
    assert np.isfinite(bank.params).all()
    assert (bank.params > 0).all()
