"""One table of optimisers through every contract."""

from dataclasses import fields

import numpy as np
import pytest
from reference import ReferenceNetwork

from nnstream.bank import Bank
from nnstream.errors import SpecError
from nnstream.network import Network
from nnstream.optimizers import (
    COCOB,
    OPTIMIZERS,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    FTRLProximal,
    Momentum,
    Nadam,
    Nesterov,
    Optimizer,
    RMSProp,
)
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, InverseTime
from nnstream.spec import NetworkSpec

# With the rate that suits the small problems below: a rate for the convex ones, and one for XOR.
TABLE = {
    "adagrad": (AdaGrad(0.5), AdaGrad(0.2)),
    "adam": (Adam(0.02), Adam(0.01)),
    "adamw": (AdamW(0.02, weight_decay=1e-4), AdamW(0.01, weight_decay=1e-4)),
    "amsgrad": (AMSGrad(0.05), AMSGrad(0.02)),
    "cocob": (COCOB(), COCOB()),
    "ftrl": (FTRLProximal(0.5), FTRLProximal(0.3)),
    "momentum": (Momentum(0.005), Momentum(0.02)),
    "nadam": (Nadam(0.02), Nadam(0.01)),
    "nesterov": (Nesterov(0.005), Nesterov(0.02)),
    "rmsprop": (RMSProp(0.005), RMSProp(0.005)),
    "sgd": (SGD(0.01), SGD(0.2)),
}
every_optimizer = pytest.mark.parametrize("name", TABLE)


def test_the_table_is_complete():
    assert set(TABLE) == set(OPTIMIZERS)
    assert all(isinstance(pair[0], OPTIMIZERS[name]) for name, pair in TABLE.items())
    assert sorted(kind.code for kind in set(OPTIMIZERS.values()) - {AdamW}) == list(range(10))


@every_optimizer
def test_finds_the_bottom_of_a_parabola(name):
    """Noiseless linear regression: a convex quadratic whose bottom is known."""
    net = Network(NetworkSpec(3, hidden=(), loss="squared", optimizer=TABLE[name][0]))
    X = np.random.default_rng(0).normal(size=(6000, 3)).astype(np.float32)
    truth = np.array([1.0, -2.0, 0.5])
    _, losses = net.predict_then_learn(X, X @ truth + 0.7)
    np.testing.assert_allclose(net.params, [*truth, 0.7], atol=0.1)
    assert losses[-500:].mean() < 0.02 < losses[:50].mean()


@every_optimizer
def test_comes_near_the_best_logistic_regression(name):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(8000, 3)).astype(np.float32)
    truth = np.array([1.0, -1.5, 0.5])
    chance = 1 / (1 + np.exp(-(X @ truth + 0.3)))
    y = rng.random(len(X)) < chance
    net = Network(NetworkSpec(3, hidden=(), optimizer=TABLE[name][0]))
    probabilities, losses = net.predict_then_learn(X, y)
    best = -np.where(y, np.log(chance), np.log(1 - chance))[-4000:].mean()
    assert losses[-4000:].mean() < best + 0.03
    assert np.abs(probabilities[-4000:, 0] - chance[-4000:]).mean() < 0.1


@every_optimizer
def test_learns_exclusive_or(name):
    """Not convex, and no linear model can."""
    rng = np.random.default_rng(2)
    X = rng.integers(0, 2, (8000, 2)).astype(np.float32)
    y = X[:, 0] != X[:, 1]
    net = Network(NetworkSpec(2, hidden=(16,), activation="tanh", optimizer=TABLE[name][1], seed=1))
    probabilities, _ = net.predict_then_learn(2 * X - 1, y)
    assert ((probabilities[-1000:, 0] > 0.5) == y[-1000:]).mean() > 0.99


@every_optimizer
def test_walks_down_a_curved_valley(name):
    """As Rosenbrock's: a product of two weights makes the surface of a narrow network curved and badly scaled."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(10_000, 1)).astype(np.float32)
    net = Network(
        NetworkSpec(1, hidden=(2, 2), activation="identity", loss="squared", optimizer=TABLE[name][0], seed=4)
    )
    _, losses = net.predict_then_learn(X, 1 + 2 * X[:, 0])
    assert losses[-500:].mean() < 0.05 * losses[:100].mean()


@every_optimizer
def test_first_twenty_steps_follow_the_published_formulas(name):
    rng = np.random.default_rng(4)
    for optimizer in (OPTIMIZERS[name](), *TABLE[name]):
        spec = NetworkSpec(3, hidden=(4,), activation="tanh", optimizer=optimizer)
        net = Network(spec)
        reference = ReferenceNetwork(spec, net.params)
        for _ in range(20):
            x, y = rng.normal(size=3).astype(np.float32), rng.integers(0, 2, 1).astype(np.float32)
            net.predict_then_learn(x, y)
            reference.predict_then_learn(x, y)
            np.testing.assert_allclose(net.params, reference.params, rtol=2e-5, atol=5e-6)


@every_optimizer
def test_state_keeps_shape_and_dtype(name):
    spec = NetworkSpec(3, hidden=(4,), optimizer=TABLE[name][0])
    bank = Bank([spec])
    before = {key: (array.shape, array.dtype, id(array)) for key, array in bank.state().items()}
    assert bank.slots.shape == (spec.parameter_count * spec.optimizer.slot_count,)
    bank.predict_then_learn(np.ones((50, 3)), np.ones((50, 1)), np.ones(50, np.bool_))
    assert {key: (array.shape, array.dtype, id(array)) for key, array in bank.state().items()} == before
    assert all(array.dtype == np.float32 for array in (bank.params, bank.slots, bank.grad))


@every_optimizer
def test_a_gradient_of_zero_moves_nothing(name):
    optimizer = TABLE[name][0]
    spec = NetworkSpec(3, hidden=(4,), optimizer=SGD() if isinstance(optimizer, AdamW) else optimizer)
    bank = Bank([spec])
    before = bank.params.copy()
    bank.predict_then_learn(np.ones((9, 3)), np.ones((9, 1)), np.ones(9, np.bool_), np.zeros(9))
    np.testing.assert_allclose(bank.params, before, rtol=2e-7)  # FTRL computes each weight anew from its dual


@every_optimizer
def test_is_a_value(name):
    kind = OPTIMIZERS[name]
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert isinstance(kind(), Optimizer)
    if kind is not COCOB:
        assert kind() != kind(learning_rate=0.123)


BAD = {
    "learning_rate": [0.0, -0.1, float("nan"), float("inf"), 1e300],
    "momentum": [-0.1, 1.0, float("nan")],
    "beta1": [-0.1, 1.0, float("nan")],
    "beta2": [-0.1, 1.0, float("nan")],
    "rho": [-0.1, 1.0, float("nan")],
    "beta": [0.0, -1.0, float("nan"), float("inf")],
    "epsilon": [0.0, -1.0, 1e-50, float("nan"), float("inf")],
    "weight_decay": [-0.1, float("nan"), float("inf"), 1e4],
}
CASES = [
    (name, each.name, number)
    for name, kind in OPTIMIZERS.items()
    for each in fields(kind)
    for number in BAD[each.name]
]


@pytest.mark.parametrize(("name", "field", "number"), CASES)
def test_a_bad_number_is_refused_by_its_name(name, field, number):
    with pytest.raises(SpecError, match=rf"\b{field}\b.*\bnot\b"):
        OPTIMIZERS[name](**{field: number})


def test_cocob_needs_no_rate():
    assert fields(COCOB) == ()
    slow = Network(NetworkSpec(2, hidden=(), loss="squared", optimizer=COCOB()))
    X = np.random.default_rng(5).normal(size=(4000, 2)).astype(np.float32)
    for scale in (1.0, 100.0):  # the unit of the target does not matter either: bets grow as they win
        _, losses = slow.predict_then_learn(X, scale * X[:, 0])
        assert losses[-500:].mean() < 0.05 * scale**2


@pytest.mark.parametrize("optimizer", [COCOB(), FTRLProximal()])
@pytest.mark.parametrize("schedule", [InverseTime(), Constant(warmup=10)])
def test_optimisers_with_rates_of_their_own_take_no_schedule(optimizer, schedule):
    with pytest.raises(SpecError, match="sets its own rates"):
        NetworkSpec(2, optimizer=optimizer, schedule=schedule)


def test_ftrl_starts_from_the_initial_weights():
    spec = NetworkSpec(3, hidden=(4,), optimizer=FTRLProximal(0.1, beta=2.0))
    bank = Bank([spec])
    before = bank.params.copy()
    bank.predict_then_learn(np.ones((1, 3)), np.ones((1, 1)), np.ones(1, np.bool_), np.zeros(1))
    np.testing.assert_allclose(bank.params, before, rtol=2e-7)


def test_ftrl_with_l1_gives_true_zeros_and_spares_the_bias():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(5000, 20)).astype(np.float32)
    y = X[:, 0] + 1.0 + 0.3 * rng.normal(size=5000) > 0
    spec = NetworkSpec(
        20, hidden=(), optimizer=FTRLProximal(0.5), regularization=Regularization(l1=20.0), initializer="zeros"
    )
    net = Network(spec)
    net.predict_then_learn(X, y)
    assert np.count_nonzero(net.params[1:20]) <= 4
    assert net.params[0] > 0.5
    assert net.params[20] > 0.5
