"""What all fakes share: a journal of what was asked of them, and errors on demand."""

from typing import Any

Journal = list[tuple[Any, ...]]


class Fake:
    """Notes what is asked of it, and fails when told to."""

    def __init__(self, journal: Journal | None) -> None:
        self.journal: Journal = [] if journal is None else journal
        self._errors: dict[str, tuple[int, BaseException]] = {}

    def fail(self, call: str, error: BaseException, *, after: int = 0) -> None:
        """Let a method raise `error` once, before it has done anything.

        Args:
            call: name of the method.
            error: what it raises.
            after: how many calls succeed before.
        """
        self._errors[call] = (after, error)

    def called(self, call: str, *details: Any) -> None:
        """Note a call, or raise what it was told to."""
        after, error = self._errors.get(call, (0, None))
        if error is not None:
            self._errors[call] = (after - 1, error)
            if after == 0:
                del self._errors[call]
                raise error
        self.journal.append((call, *details))
