"""What is kept: events that wait for their label, and checkpoints."""

from typing import Annotated, Literal

from pydantic import Field

from service.settings.section import Positive, Section


class LabelSettings(Section):
    """Labels that come after their event."""

    max_wait_seconds: Annotated[float, Field(gt=0)] | None = 86_400.0
    """How long an event waits for its label, and a label for its event, by the log's timestamps; null: for ever."""
    max_pending: Positive = 100_000
    """Most events and labels of a partition that wait at a time; beyond it the oldest are given up."""
    max_pending_bytes: Positive = 256 * 2**20
    """Most bytes of them."""
    spill_after_bytes: Positive | None = None
    """Beyond so many bytes the oldest of them lie in a temporary file (SQLite); null keeps all in memory."""
    second: Literal["dead_letter", "correction"] = "dead_letter"
    """What a second label for the same event is: a dead letter, or a correction, which is learned too."""


class CheckpointSettings(Section):
    """Where the model survives a restart."""

    url: str | None = None
    """A directory, or any fsspec URL (`s3://bucket/path`, …) that all workers of the group can reach. null: the topic
    `topics.checkpoints`."""
    every_events: Positive = 100_000
    """Events between checkpoints of a partition."""
    every_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds between checkpoints of a partition that learned something."""
    keep: Annotated[int, Field(ge=2)] = 3
    """Checkpoints kept a partition."""
