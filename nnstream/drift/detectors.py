"""River's detectors by name: with River's own parameters, or so that they give one false alarm in so many blocks.

What a detector sees is a block's normal score: how its mean ranks among the last 256 blocks (see `changes.py`).
On a stream that does not change this is standard normal whatever the signal's distribution, so one table says which
parameter gives which rate of false alarms. scripts/calibrate_drift.py made it (calibration.json).
"""

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

from nnstream.drift.river_classes import river_class
from nnstream.errors import SpecError

Name = Literal["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"]
Value = bool | int | float | str


@dataclass(frozen=True)
class Kind:
    """What we must know of a detector.

    Args:
        module: where its class stands.
        cls: the class.
        knob: the parameter that sets its rate of false alarms.
        fixed: our values for the others; River's own defaults count single events, not blocks.
        binary: whether it sees only whether a block is unusual, a score above 1.
        renewed: whether it begins anew every 512 blocks: it compares all that it has seen with an extreme moment of
            it, so it grows deaf with age.
        logarithmic: whether the logarithm of the time between false alarms is linear in that of the knob.
        largest: value that the knob can have.
    """

    module: str
    cls: str
    knob: str
    fixed: Mapping[str, Value]
    binary: bool = False
    renewed: bool = False
    logarithmic: bool = True
    largest: float = math.inf


KINDS: dict[Name, Kind] = {
    "adwin": Kind("river.drift.adwin", "ADWIN", "delta", {"clock": 1, "min_window_length": 3}),
    "page_hinkley": Kind(
        "river.drift.page_hinkley", "PageHinkley", "threshold", {"min_instances": 1, "delta": 0.5, "alpha": 1.0},
        logarithmic=False,
    ),
    "kswin": Kind("river.drift.kswin", "KSWIN", "alpha", {"seed": 1}, largest=1.0),
    "ddm": Kind(
        "river.drift.binary.ddm", "DDM", "drift_threshold", {"warm_start": 10}, binary=True, renewed=True,
        logarithmic=False,
    ),
    "eddm": Kind(
        "river.drift.binary.eddm", "EDDM", "beta", {"warm_start": 10, "alpha": 1.0}, binary=True, renewed=True,
        largest=1.0,
    ),
    "hddm_a": Kind(
        "river.drift.binary.hddm_a", "HDDMA", "drift_confidence", {}, binary=True, renewed=True, largest=0.99
    ),
    "hddm_w": Kind(
        "river.drift.binary.hddm_w", "HDDMW", "drift_confidence", {"lambda_val": 0.2}, binary=True, largest=0.99
    ),
}  # fmt: skip


@dataclass(frozen=True)
class DetectorSpec:
    """Which detector, and how easily it is alarmed.

    Args:
        name: of the detector.
        false_alarm_every: rows of a stream that does not change, in which there is one false alarm on average.
        parameters: River's own, instead of that; what is left out has our value or River's default.
    """

    name: Name = "adwin"
    false_alarm_every: float = 20_000_000
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise SpecError(f"unknown drift detector {self.name!r}; choose one of: {', '.join(KINDS)}")
        if not self.false_alarm_every > 0:
            raise SpecError(f"a false alarm every {self.false_alarm_every} events cannot be; give a positive number")
        if not self.parameters:
            return
        known = inspect.signature(_class(self.name)).parameters
        for parameter in self.parameters:
            if parameter not in known:
                raise SpecError(f"{self.name} has no parameter {parameter!r}; it has: {', '.join(known)}")
        self.detector(1000, up_only=True)

    def detector(self, blocks: float, *, up_only: bool) -> Any:
        """Return a fresh detector of River's.

        Args:
            blocks: of a stream that does not change, in which there is one false alarm on average.
            up_only: whether falls are of no interest; a detector that finds both then gets twice the rate.
        """
        kind = KINDS[self.name]
        given = {**kind.fixed, **self.parameters}
        if not self.parameters:
            both = not kind.binary
            given[kind.knob] = knob(self.name, blocks / 2 if up_only and both else blocks)
        try:
            return _class(self.name)(**given)
        except (TypeError, ValueError) as error:
            raise SpecError(f"{self.name} cannot be made with {dict(self.parameters)}: {error}") from error


def _class(name: Name) -> Any:
    return river_class(KINDS[name].module, KINDS[name].cls)


@cache
def _table() -> dict[str, list[tuple[float, float]]]:
    text = resources.files("nnstream.drift").joinpath("calibration.json").read_text(encoding="utf-8")
    table: dict[str, list[tuple[float, float]]] = json.loads(text)
    return table


def knob(name: Name, blocks: float) -> float:
    """Return the parameter that gives one false alarm in so many blocks, from the measured table.

    Between two measured points, and beyond the last, the logarithm of the time between false alarms is a straight
    line in the knob (or in its logarithm).
    """
    scale = math.log if KINDS[name].logarithmic else float
    points = [(math.log(apart), scale(at)) for at, apart in _table()[name]]
    x = math.log(blocks)
    upper = next((i for i in range(1, len(points)) if points[i][0] >= x), len(points) - 1)
    lower = upper - 1 if x <= points[-1][0] else max(0, upper - 3)  # beyond the table: over more than one step
    (x0, y0), (x1, y1) = points[lower], points[upper]
    y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return min(math.exp(y) if KINDS[name].logarithmic else y, KINDS[name].largest)
