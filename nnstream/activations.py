"""Activations: what a unit makes of its weighted sum. Defined here in NumPy, compiled in `kernels.activations`.

step        +1 where z > 0, else -1 (Rosenblatt 1958); derivative taken as 0
identity    z
sigmoid     1 / (1 + e^-z)
tanh        (e^z - e^-z) / (e^z + e^-z)
relu        max(z, 0); derivative 0 at 0 (as PyTorch)
leaky_relu  z where z > 0, else 0.01 z
elu         z where z > 0, else e^z - 1 (Clevert et al. 2016)
gelu        z Φ(z), Φ the standard normal distribution function (Hendrycks & Gimpel 2016, exact form)
softplus    ln(1 + e^z)
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.kernels import activations as compiled

Floats = npt.NDArray[np.floating]


class Activation(IntEnum):
    """The activations by name; the value is the number by which kernels know them."""

    IDENTITY = compiled.IDENTITY
    STEP = compiled.STEP
    SIGMOID = compiled.SIGMOID
    TANH = compiled.TANH
    RELU = compiled.RELU
    LEAKY_RELU = compiled.LEAKY_RELU
    ELU = compiled.ELU
    GELU = compiled.GELU
    SOFTPLUS = compiled.SOFTPLUS

    @classmethod
    def of(cls, name: str) -> "Activation":
        """Return the activation called `name`.

        Raises:
            SpecError: there is none of that name.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            known = ", ".join(a.name.lower() for a in cls)
            raise SpecError(f"activation {name!r} is unknown; choose one of: {known}") from None


def activate(kind: Activation, z: Floats) -> Floats:
    """Return the activation of each element of `z`, in the dtype of `z`."""
    match kind:
        case Activation.STEP:
            return np.where(z > 0, 1.0, -1.0).astype(z.dtype)
        case Activation.SIGMOID:
            return _sigmoid(z)
        case Activation.TANH:
            return np.tanh(z)
        case Activation.RELU:
            return np.maximum(z, 0)
        case Activation.LEAKY_RELU:
            return np.where(z > 0, z, z.dtype.type(0.01) * z)
        case Activation.ELU:
            return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))
        case Activation.GELU:
            return z * _normal_cdf(z)
        case Activation.SOFTPLUS:
            return np.logaddexp(z, 0).astype(z.dtype)
        case _:
            return z.copy()


def derivative(kind: Activation, z: Floats) -> Floats:
    """Return the derivative of the activation at each element of `z`."""
    match kind:
        case Activation.STEP:
            return np.zeros_like(z)
        case Activation.SIGMOID:
            s = _sigmoid(z)
            return s * (1 - s)
        case Activation.TANH:
            return 1 - np.tanh(z) ** 2
        case Activation.RELU:
            return (z > 0).astype(z.dtype)
        case Activation.LEAKY_RELU:
            return np.where(z > 0, 1.0, 0.01).astype(z.dtype)
        case Activation.ELU:
            return np.where(z > 0, 1, np.exp(np.minimum(z, 0)))
        case Activation.GELU:
            return np.asarray(_normal_cdf(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), dtype=z.dtype)
        case Activation.SOFTPLUS:
            return _sigmoid(z)
        case _:
            return np.ones_like(z)


def _sigmoid(z: Floats) -> Floats:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def _normal_cdf(z: Floats) -> Floats:
    from scipy.special import ndtr  # noqa: PLC0415  # only the NumPy definition needs SciPy; imports stay lean

    return np.asarray(ndtr(z), dtype=z.dtype)
