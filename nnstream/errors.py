"""Every exception the library raises on purpose.

NnstreamError
├── SpecError            a network, optimiser or encoder was described in a way that cannot be
├── FeatureError         one event's features cannot be encoded
├── LabelError           one event's label does not fit the task
└── SnapshotError        stored state cannot be used
    ├── SnapshotDamagedError    truncated or changed since it was written
    └── SnapshotMismatchError   whole, but of another version, shape or configuration
"""


class NnstreamError(Exception):
    """The root: `except NnstreamError` catches everything the library raises on purpose."""


class SpecError(NnstreamError, ValueError):
    """A network, optimiser, schedule or encoder was described in a way that cannot be."""


class FeatureError(NnstreamError, ValueError):
    """The features of one event cannot be encoded; the message names the feature and the problem."""


class LabelError(NnstreamError, ValueError):
    """The label of one event does not fit the task."""


class SnapshotError(NnstreamError):
    """Stored state cannot be used."""


class SnapshotDamagedError(SnapshotError):
    """The bytes are not what was written: truncated, or changed since."""


class SnapshotMismatchError(SnapshotError):
    """The snapshot is whole, but belongs to another version, shape or configuration."""
