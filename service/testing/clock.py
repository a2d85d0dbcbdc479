"""Time that passes when told to, and work that is done at once."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class FakeClock:
    """Seconds that pass only when told to.

    Args:
        now: seconds at the start.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class InlineExecutor(Executor):
    """Runs what it is given at once, on the caller's thread."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the result, or the error, as a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # any error belongs to whoever asks for the result
            future.set_exception(error)
        return future
