"""One decorator for every kernel, with the reasons for its flags.

* a cache on disk: compile once a machine, not once a process; a service must not compile while events wait.
* ``nogil=True``: the Kafka client's I/O thread and the HTTP server go on while a block is learned.
* ``error_model="numpy"``: a division by zero gives Inf or NaN as in NumPy; no branch in the inner loops.
* ``forceinline=True``: the helpers are a few instructions long; a call with its dozen array fields costs more
  (8-32-1: 3.6 against 5.1 million samples/s).
* ``_nrt=False``: no reference counting; a slice is then two numbers instead of two atomic operations (0.7
  against 2.5 million). In exchange a kernel can not allocate: scratch space comes in as an argument.
* ``fastmath=False``: a sum is never re-ordered, so every machine and every block size gives the same bits.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache


def _fingerprint() -> tuple[float, int]:
    """Return a stamp of every source file in this package, in the form numba expects (two numbers)."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    number = int.from_bytes(digest.digest()[:6], "big")
    return float(number), number


_STAMP = _fingerprint()


class _Cache(FunctionCache):  # type: ignore[misc]  # Numba ships no types
    """Numba's cache on disk, for kernels that inline each other, in processes that need not compile.

    Numba looks only at the file a function stands in: an edit in a helper's would leave stale machine code behind.
    And before it looks for machine code, it imports whatever it could compile, SciPy's linear algebra among it: 50 MB
    and 0.3 s, for nothing where the code is there. Where it is not, the compiler does so itself.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = _STAMP  # noqa: SLF001  # Numba has no public hook for this

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` under the project's one policy (see the module docstring)."""
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=False, _nrt=False, forceinline=True)(function)
    dispatcher._cache = _Cache(function)  # noqa: SLF001  # nor for this
    return dispatcher
