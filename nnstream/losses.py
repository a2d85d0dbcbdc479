"""Losses and the output each belongs to. Defined here in NumPy, compiled in `kernels.losses`.

`z` are the scores of the output layer, `y` the target; losses are summed over the outputs.

    log            outputs σ(z); y in {0, 1} each: -y ln p - (1 - y) ln(1 - p). One output is binary
                   classification, several are multi-label
    cross_entropy  outputs softmax(z); y a class index: -ln p_y
    squared        outputs z; (z - y)², gradient 2 (z - y), as River and PyTorch have it (no half)
    absolute       outputs z; |z - y|, gradient sign(z - y), 0 at 0
    huber          outputs z; r² where |r| <= δ, else δ (2 |r| - δ): the squared loss with a straight tail
                   (Huber 1964, doubled)
    quantile       outputs z; τ r where r = y - z > 0, else (τ - 1) r (Koenker & Bassett 1978)
    hinge          outputs z; one output: max(0, 1 - t z), t = 2 y - 1; several: 1 + the highest rival's score
                   - z_y, at least 0 (Crammer & Singer 2001)
    perceptron     outputs the sign of z, -1 or +1; max(0, -t z): its gradient is the perceptron rule
                   (Rosenblatt 1958). Several outputs are several perceptrons, each with a y of its own
    multiclass_perceptron
                   outputs z; y a class index: the highest rival's score - z_y, at least 0. Where class y does not
                   win, x is added to its weights and taken off those of the rival (Duda & Hart 1973, Kesler;
                   Crammer & Singer 2003)
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.kernels import losses as compiled

Floats = npt.NDArray[np.floating]

# A true class to which a model gave probability 0 (it had never seen it) costs this much, not infinity.
LARGEST_LOG_LOSS = float(-np.log(1e-7))


CLASS_LOSSES = ("log", "cross_entropy", "hinge", "perceptron", "multiclass_perceptron")


class Loss(IntEnum):
    """The losses by name; the value is the number by which kernels know them."""

    LOG = compiled.LOG
    CROSS_ENTROPY = compiled.CROSS_ENTROPY
    SQUARED = compiled.SQUARED
    ABSOLUTE = compiled.ABSOLUTE
    HUBER = compiled.HUBER
    QUANTILE = compiled.QUANTILE
    HINGE = compiled.HINGE
    PERCEPTRON = compiled.PERCEPTRON
    MULTICLASS_PERCEPTRON = compiled.MULTICLASS_PERCEPTRON

    def is_indexed(self, outputs: int) -> bool:
        """Return whether a target is the index of one of so many outputs, and not a number for each."""
        return self in (Loss.CROSS_ENTROPY, Loss.MULTICLASS_PERCEPTRON) or (self is Loss.HINGE and outputs > 1)

    @classmethod
    def of(cls, name: str) -> "Loss":
        """Return the loss called `name`.

        Raises:
            SpecError: there is none of that name.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(each.name.lower() for each in cls)
            raise SpecError(f"loss {name!r} is unknown; choose one of: {known}") from None


def link(kind: Loss, z: Floats) -> Floats:
    """Return the prediction that belongs to the scores `z` (k,): probabilities, a sign, or the scores."""
    match kind:
        case Loss.LOG:
            e = np.exp(-np.abs(z))
            return np.where(z >= 0, 1 / (1 + e), e / (1 + e))
        case Loss.CROSS_ENTROPY:
            e = np.exp(z - z.max())
            return np.asarray(e / e.sum())
        case Loss.PERCEPTRON:
            return np.where(z > 0, 1.0, -1.0).astype(z.dtype)
        case _:
            return z.copy()


def value(kind: Loss, z: Floats, y: Floats, shape: float = 1.0) -> float:
    """Return the loss of the scores `z` (k,) against the target `y`; `shape` is Huber's δ or the quantile τ."""
    match kind:
        case Loss.LOG:
            return float(np.sum(np.logaddexp(0, z) - y * z))
        case Loss.CROSS_ENTROPY:
            return float(np.logaddexp.reduce(z) - z[int(y[0])])
        case Loss.HINGE:
            return float(max(0.0, 1 - _margin(z, y)))
        case Loss.PERCEPTRON:
            return float(np.sum(np.maximum(0, -(2 * y - 1) * z)))
        case Loss.MULTICLASS_PERCEPTRON:
            return float(max(0.0, -_margin(z, y)))
        case _:
            return float(np.sum(residual_loss(kind, z - y, shape)))


def residual_loss(kind: Loss, r: Floats, shape: float = 1.0) -> Floats:
    """Return a regression loss of each residual `r` (prediction - target)."""
    match kind:
        case Loss.ABSOLUTE:
            return np.asarray(np.abs(r))
        case Loss.HUBER:
            a = np.abs(r)
            return np.asarray(np.where(a <= shape, r * r, shape * (2 * a - shape)))
        case Loss.QUANTILE:
            return np.asarray(np.maximum(-shape * r, (1 - shape) * r))
        case _:
            return np.asarray(r * r)


def gradient(kind: Loss, z: Floats, y: Floats, shape: float = 1.0) -> Floats:
    """Return the derivative of `value` by each score, (k,)."""
    r = z if kind.is_indexed(2) else z - y
    match kind:
        case Loss.LOG:
            return link(kind, z) - y
        case Loss.CROSS_ENTROPY:
            return np.asarray(link(kind, z) - np.eye(len(z), dtype=z.dtype)[int(y[0])])
        case Loss.SQUARED:
            return 2 * r
        case Loss.ABSOLUTE:
            return np.sign(r)
        case Loss.HUBER:
            return 2 * np.clip(r, -shape, shape)
        case Loss.QUANTILE:
            return np.where(r < 0, -shape, np.where(r > 0, 1 - shape, 0.0)).astype(z.dtype)
        case Loss.HINGE:
            return _correction(z, y, 1.0)
        case Loss.MULTICLASS_PERCEPTRON:
            return _correction(z, y, 0.0)
        case _:
            t = 2 * y - 1
            return np.where(t * z <= 0, -t, 0).astype(z.dtype)


def _rival(z: Floats, k: int) -> int:
    others = z.copy()
    others[k] = -np.inf
    return int(others.argmax())


def _margin(z: Floats, y: Floats) -> float:
    if len(z) == 1:
        return float((2 * y[0] - 1) * z[0])
    return float(z[int(y[0])] - z[_rival(z, int(y[0]))])


def _correction(z: Floats, y: Floats, least: float) -> Floats:
    """Return -1 for the true class and 1 for its rival where the margin is too small; a margin of 0 always is."""
    out = np.zeros_like(z)
    if _margin(z, y) >= least and (_margin(z, y) > 0 or len(z) == 1):
        return out
    if len(z) == 1:
        out[0] = 1 - 2 * y[0]
    else:
        out[_rival(z, int(y[0]))] = 1
        out[int(y[0])] = -1
    return out
