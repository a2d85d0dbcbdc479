"""AMSGrad."""

from dataclasses import dataclass
from typing import ClassVar

from nnstream.kernels import optimizers as compiled
from nnstream.optimizers.adam import Adam


@dataclass(frozen=True)
class AMSGrad(Adam):
    """AMSGrad: Adam whose second moment never falls (Reddi et al. 2018; bias-corrected as in PyTorch)."""

    code: ClassVar[int] = compiled.AMSGRAD
