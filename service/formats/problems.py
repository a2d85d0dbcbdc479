"""Why a value is neither an event nor a late label, in words that name the field."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from service.events import Event, LateLabel, Problem


class NoEventError(Exception):
    """A value holds neither an event nor a late label.

    Attributes:
        problem: the kind of problem.
        reason: what is wrong, and where.
    """

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem: Problem = problem
        self.reason = reason


def explain(validate: Callable[[type[Event] | type[LateLabel]], Any], *, labels_only: bool) -> Event | LateLabel:
    """Return the event or late label after all, or raise the reason why this is none.

    Args:
        validate: makes one of the two, or raises pydantic's ValidationError.
        labels_only: it can only be a late label.

    Raises:
        NoEventError: it is neither.
    """
    try:
        found: Event | LateLabel = validate(LateLabel if labels_only else Event)
    except ValidationError as error:
        if labels_only or not _without_features(error):
            raise _no_event(error) from None
        problem = _no_event(error)
    else:
        return found
    try:
        found = validate(LateLabel)
    except ValidationError as error:
        missing = {each["loc"][0] for each in error.errors(include_url=False) if each["type"] == "missing"}
        raise (problem if "label" in missing else _no_event(error)) from None
    return found


def _without_features(error: ValidationError) -> bool:
    return any(each["type"] == "missing" and each["loc"] == ("features",) for each in error.errors(include_url=False))


_NEEDED = {
    "features": "an event needs an object of features (a late label, an id and a label)",
    "id": "a label without features needs the id of its event",
    "label": "a late label needs a label",
}


def _no_event(error: ValidationError) -> NoEventError:
    """Return the first problem of a value, in words that name the field."""
    problems = error.errors(include_url=False)
    first: Any = problems[0]
    if first["type"] == "json_invalid":
        return NoEventError("not_json", f"not JSON: {first['ctx']['error']}")
    if not first["loc"]:
        return NoEventError("invalid", f"expected a JSON object, got {type(first['input']).__name__}")
    name = first["loc"][0]
    if name == "features" and len(first["loc"]) > 1:
        return NoEventError("features", _feature_problem(str(first["loc"][1]), problems))
    if first["type"] == "missing":
        return NoEventError("invalid", f"{name}: missing; {_NEEDED[str(name)]}")
    if name == "label":
        return NoEventError("label", f"label: expected a text, a number, true or false, got {_shown(first['input'])}")
    expected = {
        "features": "an object",
        "id": "a text or a whole number",
        "ts": "a whole number (ms since 1970) within ±2^62",
    }
    return NoEventError("invalid", f"{name}: expected {expected[str(name)]}, got {_shown(first['input'])}")


def _feature_problem(name: str, problems: Sequence[Any]) -> str:
    own = [p for p in problems if p["loc"][:2] == ("features", name)]
    if any(p["type"] == "finite_number" for p in own):
        return f"features.{name}: NaN and Infinity are no values; leave the feature out or send null"
    element = next((p for p in own if isinstance(p["loc"][-1], int) or len(p["loc"]) > 4), None)  # noqa: PLR2004
    if element is not None:
        index = next(part for part in element["loc"][2:] if isinstance(part, int))
        return f"features.{name}[{index}]: expected a number, got {_shown(element['input'])}"
    return f"features.{name}: expected a number, a text, true/false, null or a list, got {_shown(own[0]['input'])}"


def _shown(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "null", bool: "true/false"}
    text = repr(value)
    return f"{kinds.get(type(value), type(value).__name__)} {text[:40]}{'…' if len(text) > 40 else ''}"  # noqa: PLR2004
