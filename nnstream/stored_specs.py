"""A `ModelSpec` from the description of it that a snapshot holds: the way back from `snapshot.describe_spec`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from nnstream import schedules
from nnstream.errors import SnapshotMismatchError, SpecError
from nnstream.model import ModelSpec
from nnstream.optimizers import OPTIMIZERS
from nnstream.regularizers import Regularization
from nnstream.responses import ResponseSpec
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec

_SCHEDULES = (
    schedules.Constant, schedules.StepDecay, schedules.InverseTime, schedules.Exponential, schedules.Cosine,
)  # fmt: skip
_CLASSES: dict[str, type[Any]] = {
    each.__name__: each
    for each in (ModelSpec, NetworkSpec, FeatureSpec, ResponseSpec, Regularization, *OPTIMIZERS.values(), *_SCHEDULES)
}


def model_spec(description: Mapping[str, Any]) -> ModelSpec:
    """Return the spec that was described.

    Raises:
        SnapshotMismatchError: it names what there is not in this version.
    """
    try:
        spec = _read(description)
    except (TypeError, KeyError, ValueError, SpecError) as error:
        raise SnapshotMismatchError(
            f"what the snapshot says of its model is not enough: {error}; give the settings it was learned with"
        ) from error
    if not isinstance(spec, ModelSpec):
        raise SnapshotMismatchError("the snapshot holds no model")
    return spec


def _read(value: Any, *, is_float: bool = False) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("is"), str):  # a feature may be called so, too
        if value["is"] not in _CLASSES:
            raise TypeError(f"{value['is']} does not follow from its description")
        made = _CLASSES[value["is"]]
        hints = get_type_hints(made)
        known = {f.name for f in fields(made) if f.compare}
        if known != value.keys() - {"is"}:
            raise TypeError(
                f"{value['is']} has {', '.join(sorted(known ^ (value.keys() - {'is'})))} in one of the two"
            )
        return made(**{name: _read(value[name], is_float=hints[name] is float) for name in known})
    if isinstance(value, Mapping):
        return {name: _read(each) for name, each in value.items()}
    if isinstance(value, list):
        return tuple(_read(each) for each in value)
    return float(value) if is_float else value
