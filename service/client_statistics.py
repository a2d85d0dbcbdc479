"""What a Kafka client says of itself now and then, where it says anything."""

from typing import Literal, NamedTuple


class ClientStatistics(NamedTuple):
    """Of one client.

    Attributes:
        end: of the stream that it serves.
        waiting: records it holds: fetched and not yet taken, or taken and not yet acknowledged.
        round_trip_seconds: mean of the newest requests, of the slowest broker.
    """

    end: Literal["source", "publisher"]
    waiting: int
    round_trip_seconds: float


def ignore(_: ClientStatistics) -> None:
    """Take no notice."""
