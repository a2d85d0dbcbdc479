"""A moment in the future."""

from collections.abc import Callable


class Deadline:
    """A moment in the future that can be set anew.

    Args:
        seconds: from now.
        clock: seconds, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._end = self._clock() + self._seconds

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - self._clock())

    def expired(self) -> bool:
        """Return whether it has passed."""
        return self._clock() >= self._end
