"""The public records, as they lie in the topics: JSON, UTF-8. `nnstream schema` prints their JSON Schema.

Unknown fields are ignored; a missing or null feature is a missing value.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Number = StrictInt | StrictFloat
PixelRow = list[list[Number]]
FeatureValue = StrictBool | StrictInt | StrictFloat | StrictStr | list[Number | PixelRow | None] | None
Label = StrictBool | StrictInt | StrictFloat | StrictStr
FARTHEST_MS = 2**62
Timestamp = Annotated[StrictInt, Field(ge=-FARTHEST_MS, le=FARTHEST_MS)]

DEAD_LETTER_HEADER = "nnstream-dead-letter"
EXPIRED_HEADER = "nnstream-expired"
Problem = Literal[
    "tombstone", "empty", "too_large", "not_utf8", "not_json", "unreadable", "invalid", "features", "label",
    "second_label", "unknown_id",
]  # fmt: skip


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Event(_Record):
    """Something that happened: features to predict from, and a label to learn from once it is known."""

    id: Annotated[
        StrictStr | StrictInt | None,
        Field(description="Name of the event. Default: its position, `topic/partition/offset`."),
    ] = None
    ts: Annotated[
        Timestamp | None, Field(description="When it happened, ms since 1970. Default: the record's timestamp.")
    ] = None
    features: Annotated[
        dict[str, FeatureValue],
        Field(
            description="Numbers, texts (categories), true/false, lists of numbers; null is a missing value. What a "
            "frozen network reads (`encoder: onnx`): an image as PNG or JPEG in base64, or as pixels row by row "
            "(red, green, blue; nested or one list); a text; a list of numbers."
        ),
    ]
    label: Annotated[
        Label | None,
        Field(
            description="The class (text, whole number, true/false) or number to learn. Absent: it may come later."
        ),
    ] = None


class LateLabel(_Record):
    """What turned out about an event that was sent without a label; in the events topic or in the labels topic."""

    id: Annotated[
        StrictStr | StrictInt, Field(description="The event's id, or its position `topic/partition/offset`.")
    ]
    ts: Annotated[Timestamp | None, Field(description="When it became known, ms since 1970.")] = None
    label: Annotated[Label, Field(description="The class (text, whole number, true/false) or number to learn.")]


class Source(_Record):
    """Where a record lies in Kafka: names it for ever."""

    topic: str
    partition: int
    offset: int


class ModelVersion(_Record):
    """Which model predicted."""

    name: str
    version: Annotated[int, Field(description="How many samples the model had learned when it predicted.")]


class Interval(_Record):
    """Where the label is expected."""

    lower: float
    upper: float


class Explanation(_Record):
    """What a prediction owes to each feature of its event."""

    method: Literal["integrated_gradients", "gradient_x_input"]
    label: Annotated[Any, Field(description="The class that is explained; absent for a regression.")] = None
    output: Annotated[
        float, Field(description="Log-odds ln(p / (1 - p)) of that class, or the number that was predicted.")
    ]
    baseline: Annotated[
        float | None,
        Field(description="The same of an event of which nothing is known; absent for `gradient_x_input`."),
    ] = None
    contributions: Annotated[
        dict[str, float],
        Field(description="What each feature added; by `integrated_gradients` they add up to output - baseline."),
    ]


class Prediction(_Record):
    """What the model said about an event before it learned it."""

    id: Annotated[str | int, Field(description="The event's id.")]
    ts: Annotated[int, Field(description="The event's ts, ms since 1970.")]
    prediction: Annotated[
        Any, Field(description="The most probable class, or the number; null before the first label was seen.")
    ]
    probabilities: Annotated[
        dict[str, float] | None, Field(description="Probability of each class; absent for a regression.")
    ] = None
    model: ModelVersion
    label: Annotated[Any, Field(description="The event's label, where it had one.")] = None
    loss: Annotated[
        float | None, Field(description="Loss of this prediction; absent without a label or a prediction.")
    ] = None
    interval: Annotated[
        Interval | None, Field(description="Of a regression with `model.confidence`: what is to hold the label.")
    ] = None
    prediction_set: Annotated[
        list[Any] | None,
        Field(
            description="Of a classification with `model.confidence`: the classes that are to hold the label. Empty: "
            "none is probable enough, an unusual event."
        ),
    ] = None
    confidence: Annotated[float | None, Field(description="How often the interval or set is to hold the label.")] = (
        None
    )
    explanation: Annotated[
        Explanation | None, Field(description="Of a share of the predictions, see `explain.share`.")
    ] = None
    source: Source


class DeadLetter(_Record):
    """Why an event could not be used.

    The record in the dead-letter topic has the key, value (the original bytes) and headers of the bad event; this
    stands beside them as JSON in the header `nnstream-dead-letter`.
    """

    problem: Annotated[Problem, Field(description="Kind of problem.")]
    reason: Annotated[str, Field(description="What was wrong, and where.")]
    source: Source
    ts: Annotated[int, Field(description="Timestamp of the bad record, ms since 1970.")]
    truncated_from_bytes: Annotated[
        int | None, Field(description="Original size, where the broker would not take all of it.")
    ] = None


class Expired(_Record):
    """Why an event's label is waited for no longer.

    The record in the expired topic has the key, value and headers of the event; this stands beside them as JSON in
    the header `nnstream-expired`.
    """

    reason: Annotated[
        Literal["max_wait", "max_pending", "replaced"],
        Field(description="Too long ago; too many others wait; a newer event has the same id."),
    ]
    source: Source
    ts: Annotated[int, Field(description="The event's ts, ms since 1970.")]


class DriftAlert(_Record):
    """The stream has changed."""

    model: str
    signal: Annotated[
        Literal["loss", "error", "prediction", "features", "missing", "delay"], Field(description="What changed.")
    ]
    feature: Annotated[str | None, Field(description="Its name, where a feature changed.")] = None
    statistic: Annotated[Literal["mean", "spread"], Field(description="The mean, or the mean distance from it.")] = (
        "mean"
    )
    detector: Annotated[str, Field(description="The algorithm that noticed.")]
    source: Annotated[Source, Field(description="The record with which it showed: an event, or a label.")]
    ts: Annotated[int, Field(description="That record's ts, ms since 1970.")]
    before: Annotated[
        float | None, Field(description="The statistic before the change; absent for a feature of texts.")
    ] = None
    after: Annotated[float | None, Field(description="The statistic since the change.")] = None
    distance: Annotated[
        float | None, Field(description="Kolmogorov-Smirnov distance between before and since, of blocks of 32.")
    ] = None
    p_value: Annotated[float | None, Field(description="The detector's own, where it has one.")] = None
    events: Annotated[int | None, Field(description="About how many events before that record the change began.")] = (
        None
    )
    also: Annotated[
        tuple[str, ...], Field(description="What else changed with the same record, for example `features.amount`.")
    ] = ()
