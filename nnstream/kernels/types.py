"""Names for what kernels take. Annotations are for the reader and mypy; numba infers its own."""

from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]  # (n,)
Matrix = npt.NDArray[np.float32]  # (n, m)
Cube = npt.NDArray[np.float32]  # (n, m, k)
Doubles = npt.NDArray[np.float64]
Table = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Scalar = Any  # a float32 inside a kernel; a Python float outside
