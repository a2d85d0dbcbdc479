"""Losses: the definition's own properties, the compiled form against it, and names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream import losses
from nnstream.errors import SpecError
from nnstream.kernels import losses as compiled
from nnstream.losses import Loss

SHAPE = 0.3
every_loss = pytest.mark.parametrize("kind", list(Loss), ids=lambda kind: kind.name.lower())
indexed = tuple(kind for kind in Loss if kind.is_indexed(2))
scores = st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=5).map(lambda z: np.array(z, np.float32))
seeds = st.integers(0, 1000)


def target(kind, z, seed):
    rng = np.random.default_rng(seed)
    if kind in indexed:
        return rng.integers(0, len(z), 1).astype(np.float32)
    if kind in (Loss.LOG, Loss.PERCEPTRON):
        return rng.integers(0, 2, len(z)).astype(np.float32)
    return rng.normal(scale=20, size=len(z)).astype(np.float32)


@every_loss
@settings(deadline=None)
@given(z=scores, seed=seeds)
def test_the_compiled_loss_is_the_defined_one(kind, z, seed):
    y = target(kind, z, seed)
    exact = z.astype(np.float64)
    out, delta = np.empty_like(z), np.empty_like(z)
    compiled.link(int(kind), z, out)
    np.testing.assert_allclose(out, losses.link(kind, exact), rtol=2e-6, atol=1e-7)
    found = compiled.loss(int(kind), np.float32(SHAPE), z, y)
    np.testing.assert_allclose(found, losses.value(kind, exact, y, SHAPE), rtol=1e-5, atol=2e-5)
    compiled.gradient(int(kind), np.float32(SHAPE), z, out, y, delta)
    np.testing.assert_allclose(delta, losses.gradient(kind, exact, y, SHAPE), rtol=2e-5, atol=2e-6)


@every_loss
@given(z=scores, seed=seeds)
def test_a_loss_is_never_negative_and_convex_in_the_scores(kind, z, seed):
    y = target(kind, z, seed)
    z = z.astype(np.float64)
    other = z + np.random.default_rng(seed).normal(scale=5, size=len(z))
    here, there, middle = (losses.value(kind, point, y, SHAPE) for point in (z, other, (z + other) / 2))
    assert here >= -1e-12
    assert middle <= (here + there) / 2 + 1e-9
    slope = losses.gradient(kind, z, y, SHAPE) @ (other - z)
    assert there >= here + slope - 1e-7 * (1 + abs(here))  # the gradient is a subgradient everywhere, kinks included


@given(z=scores)
def test_softmax_is_a_distribution_and_knows_no_zero(z):
    p = losses.link(Loss.CROSS_ENTROPY, z.astype(np.float64))
    assert np.isclose(p.sum(), 1)
    np.testing.assert_allclose(losses.link(Loss.CROSS_ENTROPY, z.astype(np.float64) + 7), p, rtol=1e-9)


@given(z=st.floats(-50, 50), y=st.integers(0, 1))
def test_two_classes_by_softmax_are_one_sigmoid(z, y):
    one, two, target_value = np.array([z]), np.array([0.0, z]), np.array([float(y)])
    assert np.isclose(losses.link(Loss.LOG, one)[0], losses.link(Loss.CROSS_ENTROPY, two)[1])
    assert np.isclose(losses.value(Loss.LOG, one, target_value), losses.value(Loss.CROSS_ENTROPY, two, target_value))


@pytest.mark.parametrize("sign", [-1, 1])
@every_loss
def test_extreme_scores_overflow_nowhere(kind, sign):
    z = np.array([1e4 * sign, -1e4 * sign], np.float32)
    y = np.array([1.0, 0.0], np.float32)[: 1 if kind in indexed else 2]
    out, delta = np.empty_like(z), np.empty_like(z)
    compiled.link(int(kind), z, out)
    compiled.gradient(int(kind), np.float32(SHAPE), z, out, y, delta)
    assert np.isfinite(compiled.loss(int(kind), np.float32(SHAPE), z, y))
    assert np.isfinite(out).all()
    assert np.isfinite(delta).all()


def test_huber_is_squared_near_and_straight_far():
    r = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(losses.residual_loss(Loss.HUBER, r, 1.0), [5, 0.25, 0, 0.25, 5])


def test_the_best_constant_of_the_quantile_loss_is_the_quantile():
    y = np.random.default_rng(0).normal(size=2001)
    grid = np.linspace(-2, 2, 401)
    best = grid[np.argmin([losses.residual_loss(Loss.QUANTILE, c - y, 0.8).sum() for c in grid])]
    assert abs(best - np.quantile(y, 0.8)) < 0.02


def test_names():
    assert [Loss.of(kind.name.lower()) for kind in Loss] == list(Loss)
    with pytest.raises(SpecError, match="'nonsense' is unknown; choose one of: log, cross_entropy"):
        Loss.of("nonsense")
