"""Where the parameters of a network lie after it was widened: old ones keep their values, new ones start fresh."""

import numpy as np
import numpy.typing as npt

from nnstream.initializers import draw
from nnstream.losses import Loss
from nnstream.spec import NetworkSpec


def positions(before: NetworkSpec, after: NetworkSpec) -> npt.NDArray[np.int64]:
    """Return int64 (before.parameter_count,): the new place of each old parameter."""
    first_column = _first_output(before, after)
    parts = []
    start = 0
    last = len(before.sizes) - 2
    sizes = zip(before.sizes[:-1], before.sizes[1:], after.sizes[:-1], after.sizes[1:], strict=True)
    for k, (old_in, old_out, new_in, new_out) in enumerate(sizes):
        columns = np.arange(old_out) + (first_column if k == last else 0)
        rows = np.arange(old_in)
        parts.append((start + rows[:, None] * new_out + columns[None, :]).ravel())
        start += new_in * new_out
        parts.append(start + columns)
        start += new_out
    return np.concatenate(parts).astype(np.int64)


def fresh_params(before: NetworkSpec, after: NetworkSpec) -> npt.NDArray[np.float32]:
    """Return float32 (after.parameter_count,): what new parameters start with; old places hold anything.

    Only the first layer can get rows and only the last can get columns. New columns start at 0; see
    `score_new_classes`.
    """
    params = np.zeros(after.parameter_count, np.float32)
    fan_in, fan_out = after.sizes[0], after.sizes[1]
    rows = range(before.inputs, after.inputs)
    new = draw(after.initializer_of(0), after.seed, 0, rows, fan_in, fan_out)
    if not after.hidden:
        new[:] = 0
    params[before.inputs * fan_out : after.inputs * fan_out] = new.ravel()
    return params


def score_new_classes(params: npt.NDArray[np.float32], before: NetworkSpec, after: NetworkSpec) -> None:
    """Give each new class of a softmax the mean of the old classes' scores, in place.

    Scores have no fixed zero, only differences count: after softmax(0, z), a score of 0 would be as high as that of
    class 0. By the mean, a new class is at most as probable as the average of the old ones, whatever their scores.
    """
    known = _first_output(before, after) + before.outputs
    if Loss.of(after.loss) is not Loss.CROSS_ENTROPY or known == after.outputs:
        return
    start = after.parameter_count - (after.sizes[-2] + 1) * after.outputs
    last = params[start:].reshape(-1, after.outputs)  # the weights' rows, and the biases as one more
    last[:, known:] = last[:, :known].mean(axis=1, dtype=np.float64)[:, None]


def _first_output(before: NetworkSpec, after: NetworkSpec) -> int:
    """Return the column that the first old output moves to: 1 when one sigmoid becomes a softmax."""
    return int(Loss.of(before.loss) is Loss.LOG and Loss.of(after.loss) is Loss.CROSS_ENTROPY)
