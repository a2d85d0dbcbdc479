"""Lanes: the same bits as scalar arithmetic, and the steps of the ensemble's optimisers against NumPy."""

import numpy as np

from nnstream.kernels import elementary, lane_functions
from nnstream.kernels._jit import jit
from nnstream.kernels.lanes import WIDTH, inverse_sqrt, largest, load, store, total


@jit
def _of_lanes(x, exps, logs, roots):
    for i in range(0, x.shape[0], WIDTH):
        store(exps, i, lane_functions.exp(load(x, i)))
        store(logs, i, lane_functions.log(load(x, i)))
        store(roots, i, inverse_sqrt(load(x, i)))


@jit
def _of_folds(x, out):
    out[0] = total(load(x, 0))
    out[1] = largest(load(x, 0))


def test_lanes_give_the_bits_of_the_scalar_functions():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 30, 3200), np.exp(rng.normal(0, 20, 3200))]).astype(np.float32)
    x[:5] = 0, np.inf, -np.inf, 1e-42, -0.0
    exps, logs, roots = (np.empty_like(x) for _ in range(3))
    _of_lanes(x, exps, logs, roots)
    assert exps.tobytes() == np.array([elementary.exp(v) for v in x], np.float32).tobytes()
    assert logs.tobytes() == np.array([elementary.log(v) for v in x], np.float32).tobytes()
    normal = (x > 1e-37) & np.isfinite(x)
    exact = roots[normal] * np.sqrt(x[normal].astype(np.float64))
    assert exact.min() > 0.9982
    assert exact.max() < 1.000001
    assert np.isfinite(roots[x == 0]).all()


def test_lanes_are_folded_in_halves():
    x = np.random.default_rng(2).normal(size=WIDTH).astype(np.float32)
    out = np.empty(2, np.float32)
    _of_folds(x, out)
    halves = x.copy()
    while len(halves) > 1:
        halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
    assert out.tolist() == [halves[0], x.max()]
