"""Gives a Python process, before anything else is imported, a clock that $CLOCK_FILE sets so many seconds off.

Monotonic time goes on, as it does in reality. (libfaketime does not serve here: with it, waiting for sockets and
sleeping fail with "Invalid argument" where monotonic time is left alone.)
"""

import os
import time
from pathlib import Path

_real = time.time_ns
_file = Path(os.environ["CLOCK_FILE"])


def _now_ns():
    return _real() + int(_file.read_text()) * 10**9


time.time_ns = _now_ns
time.time = lambda: _now_ns() / 1e9
