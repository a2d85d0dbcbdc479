"""The kernels' own exp, log and so on against NumPy and SciPy in float64, in units of the last place."""

import numba
import numpy as np
import pytest
from reference import random_word
from scipy import special, stats

from nnstream.kernels import elementary

F = np.float32


def compiled(function, xs):
    """Apply a kernel to float32 numbers; the call must give back a float32 (Python makes it a float)."""
    out = np.array([function(F(x)) for x in xs])
    [signature] = function.nopython_signatures
    assert (signature.args, signature.return_type) == ((numba.float32,), numba.float32)
    assert np.array_equal(out, out.astype(F), equal_nan=True)
    return out


def ulps(found, exact):
    return np.abs(found - exact) / np.spacing(np.abs(exact).astype(F)).astype(np.float64)


def spread(low, high, count=20_000):
    """float32 numbers over a range: even, and dense around 0 and at the ends."""
    rng = np.random.default_rng(0)
    near_zero = np.concatenate([s * 10.0 ** rng.uniform(-30, 0, 2000) for s in (1, -1)])
    xs = np.concatenate([rng.uniform(low, high, count), near_zero, [low, high, 0.0, -0.0]]).astype(F)
    return xs[(xs >= low) & (xs <= high)]


def test_exp():
    xs = spread(-86.9, 87.9)
    assert ulps(compiled(elementary.exp, xs), np.exp(xs.astype(float))).max() <= 2
    assert elementary.exp(F(0)) == 1
    assert elementary.exp(F(1000)) == elementary.exp(F(np.inf)) == elementary.exp(F(88))
    assert elementary.exp(F(-1000)) == elementary.exp(F(-np.inf)) == elementary.exp(F(-87)) > 0


def test_log():
    xs = np.abs(
        np.concatenate([spread(1e-30, 4.0), 10.0 ** np.random.default_rng(1).uniform(-37, 38, 20_000)])
    ).astype(F)
    xs = np.concatenate([xs, 1 + np.arange(-500, 500) * np.spacing(F(1))]).astype(F)  # where it crosses 0
    assert ulps(compiled(elementary.log, xs[xs != 1]), np.log(xs[xs != 1].astype(float))).max() <= 2
    assert elementary.log(F(1)) == 0
    assert elementary.log(F(0)) == elementary.log(F(-1)) == elementary.log(F(1e-42)) < -87


def test_sigmoid():
    xs = spread(-86.9, 100)
    found = compiled(elementary.sigmoid, xs)
    assert ulps(found, special.expit(xs.astype(float))).max() <= 4
    assert ((found > 0) & (found <= 1)).all()
    assert elementary.sigmoid(F(0)) == 0.5


def test_tanh():
    xs = spread(-100, 100)
    found = compiled(elementary.tanh, xs)
    assert ulps(found, np.tanh(xs.astype(float)))[xs != 0].max() <= 4
    assert np.abs(found).max() <= 1
    assert np.array_equal(found, -compiled(elementary.tanh, -xs))


def test_tanh_where_its_two_formulas_meet():
    xs = np.linspace(0.29, 0.31, 4001, dtype=F)
    assert ulps(compiled(elementary.tanh, xs), np.tanh(xs.astype(float))).max() <= 4


def test_softplus():
    xs = spread(-100, 100)
    exact = np.logaddexp(xs.astype(float), 0)
    found = compiled(elementary.softplus, xs)
    assert (np.abs(found - exact) <= 1.2e-7 * np.maximum(1, exact)).all()
    assert (found >= 0).all()
    assert elementary.softplus(F(1e30)) == F(1e30)


def test_normal_cdf():
    xs = spread(-40, 40)
    found = compiled(elementary.normal_cdf, xs)
    assert np.abs(found - special.ndtr(xs.astype(float))).max() < 3e-7
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus", "tanh"])
def test_monotone_functions_never_fall_by_more_than_rounding(name):
    xs = np.linspace(-20, 20, 20_001, dtype=F)
    found = compiled(getattr(elementary, name), xs)
    assert (np.diff(found) >= -2 * np.spacing(np.abs(found[1:]).astype(F)) - 1e-7 * (name == "softplus")).all()


# -- random numbers


def uniform(seed, step, index):
    return elementary.random_uniform(np.int64(seed), np.int64(step), np.int64(index))


def test_random_bits_are_splitmix_of_the_three_numbers():
    rng = np.random.default_rng(0)
    for seed, step, index in rng.integers(0, 2**62, (300, 3)).tolist():
        assert elementary.random_bits(seed, step, index) == random_word(seed, step, index)
        assert uniform(seed, step, index) == (random_word(seed, step, index) >> 40) / 2**24
    assert elementary.random_bits(-1, 0, 0) == random_word(2**64 - 1, 0, 0)
    [signature] = elementary.random_uniform.nopython_signatures
    assert signature.return_type == numba.float32


@pytest.mark.parametrize("axis", ["seed", "step", "index"])
def test_random_numbers_are_uniform_along_each_counter(axis):
    numbers = {"seed": 3, "step": 5, "index": 7}
    draws = np.array([uniform(**(numbers | {axis: k})) for k in range(50_000)])
    assert ((draws >= 0) & (draws < 1)).all()
    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    counts = np.histogram(draws, bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    for lag in (1, 2, 8, 32):
        assert abs(np.corrcoef(draws[:-lag], draws[lag:])[0, 1]) < 0.02


@pytest.mark.parametrize("other", [{"seed": 4}, {"step": 6}, {"index": 8}])
def test_neighbouring_streams_are_not_alike(other):
    numbers = {"seed": 3, "step": 5, "index": 7}
    [changed] = other
    free = "step" if changed != "step" else "index"
    one = [uniform(**(numbers | {free: k})) for k in range(20_000)]
    two = [uniform(**(numbers | other | {free: k})) for k in range(20_000)]
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


def test_a_random_number_does_not_depend_on_what_was_drawn_before():
    keys = [(seed, step, index) for seed in range(5) for step in range(10) for index in range(10)]
    forward = {key: uniform(*key) for key in keys}
    shuffled = np.random.default_rng(1).permutation(len(keys))
    assert {keys[k]: uniform(*keys[k]) for k in shuffled} == forward
    assert len(set(forward.values())) == len(keys)
