"""Moments as people write them: a date, a time, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

from service.errors import DataError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_ms(text: str, now: datetime) -> int:
    """Return a moment as ms since 1970.

    Args:
        text: ISO 8601 (UTC where it names no zone), such as `2026-11-23T04:00`, or a time before `now`: `90m`, `2d`.
        now: the present.

    Raises:
        DataError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        moment = now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise DataError(
                f"{text!r} is no moment; write a date or time such as 2026-11-23T04:00, or how long ago: 90m, 2h, 7d"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
