"""Subscribe to predictions: a live table for people, or the records as they are."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from service.records import Record

_ROWS = 20


class Reader(Protocol):
    """Where predictions come from."""

    def poll(self, timeout_seconds: float) -> list[Record]:
        """Return the next records."""


def follow(reader: Reader, limit: int | None, stopped: Callable[[], bool] = lambda: False) -> Iterator[list[bytes]]:
    """Yield batches of prediction records (empty ones too, about twice a second) until `limit` have come."""
    seen = 0
    while not stopped() and (limit is None or seen < limit):
        values = [record.value for record in reader.poll(0.5) if record.value is not None]
        values = values if limit is None else values[: limit - seen]
        seen += len(values)
        yield values


def print_lines(reader: Reader, limit: int | None) -> None:
    """Write each prediction as one line of JSON to standard output."""
    for batch in follow(reader, limit):
        for value in batch:
            sys.stdout.write(value.decode() + "\n")
        sys.stdout.flush()


def show_table(reader: Reader, limit: int | None, console: Console) -> None:
    """Show the newest predictions in a table that is drawn anew as they come."""
    newest: deque[dict[str, Any]] = deque(maxlen=_ROWS)
    with Live(_table(newest), console=console, refresh_per_second=4) as live:
        for batch in follow(reader, limit):
            newest.extend(msgspec.json.decode(value) for value in batch[-_ROWS:])
            if batch:
                live.update(_table(newest))


def _table(predictions: deque[dict[str, Any]]) -> Table:
    table = Table(title="predictions", title_justify="left")
    for name in ("id", "partition", "offset", "prediction", "certainty", "label", "loss"):
        table.add_column(name, justify="left" if name == "id" else "right")
    for each in predictions:
        right = "label" not in each or each["prediction"] == each["label"]
        probabilities = each.get("probabilities")
        table.add_row(
            str(each["id"]),
            str(each["source"]["partition"]),
            str(each["source"]["offset"]),
            _short(each["prediction"]),
            f"{max(probabilities.values()):.1%}" if probabilities else "",
            _short(each.get("label", "")),
            _short(each.get("loss", "")),
            style=None if right or probabilities is None else "red",
        )
    return table


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
