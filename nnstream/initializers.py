"""Initial weights, drawn from nothing but (seed, layer, row, column): no generator state to keep.

    he       uniform with variance 2 / fan_in (He et al. 2015), for ReLU and its kin
    glorot   uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010), for tanh and sigmoid
    lecun    uniform with variance 1 / fan_in (LeCun et al. 1998)
    zeros    0

A row that is added when a new feature appears gets the numbers it would have had from the start, at the scale of
the layer's new fan_in. Biases start at 0.
"""

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError

INITIALIZERS = ("he", "glorot", "lecun", "zeros")


def draw(name: str, seed: int, layer: int, rows: range, fan_in: int, fan_out: int) -> npt.NDArray[np.float32]:
    """Return float32 (len(rows), fan_out): the initial weights of those rows of a layer.

    Raises:
        SpecError: `name` is not an initialiser.
    """
    match name:
        case "he":
            variance = 2 / max(fan_in, 1)
        case "glorot":
            variance = 2 / max(fan_in + fan_out, 1)
        case "lecun":
            variance = 1 / max(fan_in, 1)
        case "zeros":
            return np.zeros((len(rows), fan_out), np.float32)
        case _:
            raise SpecError(f"initializer {name!r} is unknown; choose one of: {', '.join(INITIALIZERS)}")
    i = np.arange(rows.start, rows.stop, dtype=np.uint64)[:, None]
    j = np.arange(fan_out, dtype=np.uint64)[None, :]
    uniform = _uniform(seed, layer, (i << np.uint64(32)) + j)
    return np.asarray((2 * uniform - 1) * np.sqrt(3 * variance), dtype=np.float32)


def _uniform(seed: int, stream: int, index: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return float64 in [0, 1), a hash of the three numbers (SplitMix64, Steele et al. 2014).

    The start is hashed too: without that, the units of seed s + 1 would be those of seed s, moved by one.
    """
    start = (seed * 0x9E3779B97F4A7C15 + (stream + 1) * 0xD1B54A32D192ED03) % 2**64
    z = _finalise(np.array([start], np.uint64)) + index * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(_finalise(z) >> np.uint64(11), dtype=np.float64) * 2.0**-53


def _finalise(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
