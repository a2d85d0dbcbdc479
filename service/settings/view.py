"""What is shown: explanations, scores and drift, HTTP, the log."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nnstream.drift.detectors import DetectorSpec, Name
from nnstream.drift.signals import SIGNALS, Signal
from service.settings.section import Positive, Section


class ExplainSettings(Section):
    """Explanations of predictions."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the events whose prediction is published with its explanation; which ones follows from their offsets
    and `model.network.seed`. 0 explains none."""
    method: Literal["integrated_gradients", "gradient_x_input"] = "integrated_gradients"
    """`integrated_gradients`: contributions that add up to the prediction. `gradient_x_input`: a fifth of the time,
    and only the direction at that point."""


class MonitorSettings(Section):
    """How the model is watched."""

    window: Positive = 1000
    """Labelled events that rolling scores look back."""
    window_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Seconds of the log's own time that the recent scores look back."""
    enabled: bool = True
    """Keep scores and look for drift; false saves their time."""
    signals: tuple[Signal, ...] = SIGNALS
    """What may drift: the loss, the error, the distributions of what is predicted and of each feature, the share of
    missing values, and how late labels come. [] looks for no drift."""
    detector: Name = "adwin"
    """The algorithm that notices drift (River's). It sees one number for each 32 events: how their mean ranks among
    the blocks before."""
    false_alarm_every: Annotated[float, Field(ge=2000)] = 20_000_000
    """Events of a stream that does not change, in which all signals together give one false alarm on average."""
    detector_parameters: dict[str, bool | int | float | str] = {}  # noqa: RUF012  # pydantic copies defaults
    """River's own parameters of the detector, instead of `false_alarm_every`."""
    cool_down_events: Annotated[int, Field(ge=0)] = 5_000
    """Events after an alert in which further detections count as the same change."""
    max_features: Annotated[int, Field(ge=0)] = 50
    """Features that are looked at; those that come later are not."""

    @model_validator(mode="after")
    def _detector_can_be(self) -> Self:
        DetectorSpec(self.detector, self.false_alarm_every, self.detector_parameters)
        return self


class HttpSettings(Section):
    """The HTTP server."""

    enabled: bool = True
    """Serve health, metrics and predictions over HTTP."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port; 0 takes a free one and logs it."""
    ready_lag: Positive = 10_000
    """Events a partition may lie behind and still count as caught up."""


class LogSettings(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    format: Literal["json", "console"] = "json"
    """`json`, one object a line, or `console` for people."""
