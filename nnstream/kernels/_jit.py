"""One decorator for every kernel, with the reasons for its flags.

* ``cache=True``: compile once a machine, not once a process; a service must not compile while events wait.
* ``nogil=True``: the Kafka client's I/O thread and the HTTP server go on while a block is learned.
* ``error_model="numpy"``: a division by zero gives Inf or NaN as in NumPy; no branch in the inner loops.
* ``forceinline=True``: the helpers are a few instructions long; a call with its dozen array fields costs more
  (8-32-1: 3.6 against 5.1 million samples/s).
* ``_nrt=False``: no reference counting; a slice is then two numbers instead of two atomic operations (0.7
  against 2.5 million). In exchange a kernel can not allocate: scratch space comes in as an argument.
* ``fastmath=False``: a sum is never re-ordered, so every machine and every block size gives the same bits.

Numba's disk cache looks only at the file a function stands in. A kernel inlines helpers from its
neighbours, so an edit there would leave stale machine code behind; `_fingerprint` makes the cache depend on
the text of the whole package instead.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def _fingerprint() -> tuple[float, int]:
    """Return a stamp of every source file in this package, in the form numba expects (two numbers)."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    number = int.from_bytes(digest.digest()[:6], "big")
    return float(number), number


_STAMP = _fingerprint()


def jit(function: Callable[..., Any]) -> Any:
    """Compile `function` under the project's one policy (see the module docstring)."""
    dispatcher = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath=False, _nrt=False, forceinline=True
    )(function)
    dispatcher._cache._cache_file._source_stamp = _STAMP  # noqa: SLF001  # numba has no public hook for this
    return dispatcher
