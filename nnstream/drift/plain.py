"""A detector as plain JSON, and back, to the bit. Never pickle.

River's detectors are Python objects without a state of their own format. Their attributes are written out one by
one; only the classes listed here are ever written, looked up or made, and of a name that is not listed nothing is
imported or run.
"""

import base64
import math
import random
import zlib
from collections import deque
from typing import Any

import numpy as np

from nnstream.drift.river_classes import river_class
from nnstream.errors import SnapshotDamagedError, SnapshotMismatchError, SpecError

_CLASSES = {
    "ADWIN": "river.drift.adwin",
    "KSWIN": "river.drift.kswin",
    "PageHinkley": "river.drift.page_hinkley",
    "DDM": "river.drift.binary.ddm",
    "EDDM": "river.drift.binary.eddm",
    "HDDMA": "river.drift.binary.hddm_a",
    "HDDMW": "river.drift.binary.hddm_w",
    "SampleInfo": "river.drift.binary.hddm_w",
    "EWMean": "river.stats.ewmean",
    "Mean": "river.stats.mean",
    "Var": "river.stats.var",
}
_COMPILED = {"AdaptiveWindowing": "river._river_rust.drift", "RsEWMean": "river._river_rust.stats"}
_METHODS = {"PageHinkley": ("_test_increase", "_test_decrease", "_test_both")}
_SPECIAL = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def to_plain(detector: Any) -> Any:
    """Return all state of a detector as JSON-ready data.

    Raises:
        SpecError: it holds something that is not on the list.
    """
    return _write(detector, detector, "detector")


def from_plain(data: Any) -> Any:
    """Return the detector that `to_plain` wrote; what follows is the same to the bit.

    Raises:
        SnapshotDamagedError: the data were changed since; the message says where.
        SnapshotMismatchError: the data name something that no detector of this version holds.
    """
    try:
        return _read(data, "detector")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise SnapshotDamagedError(f"the state of a drift detector is damaged: {error!r}") from error


def _write(value: Any, owner: Any, where: str) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind in (float, np.float64):
        value = float(value)
        return value if math.isfinite(value) else {"is": "float", "value": str(value)}
    if kind in (list, tuple):
        return {"is": kind.__name__, "items": [_write(each, owner, where) for each in value]}
    if kind is deque:
        return {"is": "deque", "items": [_write(each, owner, where) for each in value], "longest": value.maxlen}
    if kind is random.Random:
        return {"is": "Random", "state": _write(value.getstate(), owner, where)}
    name = kind.__name__
    if _CLASSES.get(name) == kind.__module__:
        fields = {key: _write(each, value, f"{where}.{key}") for key, each in vars(value).items()}
        return {"is": name, "fields": fields}
    if _COMPILED.get(name) == kind.__module__:
        state = value.__getstate__()
        text = base64.b85encode(state).decode()
        return {"is": name, "made_with": list(value.__getnewargs__()), "state": text, "crc32": zlib.crc32(state)}
    method = getattr(value, "__name__", None)
    if getattr(value, "__self__", None) is owner and method in _METHODS.get(type(owner).__name__, ()):
        return {"is": "method", "name": method}
    raise SpecError(f"{where} is a {kind.__module__}.{name}, which has no plain form")


def _read(data: Any, where: str) -> Any:
    if data is None or isinstance(data, bool | int | float | str):
        return data
    kind = data["is"]
    if kind == "float":
        return _SPECIAL[data["value"]]
    if kind in ("list", "tuple", "deque"):
        items = [_read(each, where) for each in data["items"]]
        return deque(items, data["longest"]) if kind == "deque" else items if kind == "list" else tuple(items)
    if kind == "Random":
        source = random.Random()
        source.setstate(_read(data["state"], where))
        return source
    if kind in _CLASSES:
        return _read_object(kind, data["fields"], where)
    if kind in _COMPILED:
        return _read_compiled(kind, data, where)
    raise SnapshotMismatchError(f"{where} is a {kind!r}, which no drift detector holds")


def _read_object(kind: str, fields: dict[str, Any], where: str) -> Any:
    made = river_class(_CLASSES[kind], kind)
    value = made.__new__(made)
    for name, each in fields.items():
        if isinstance(each, dict) and each["is"] == "method":
            if each["name"] not in _METHODS.get(kind, ()):
                raise SnapshotMismatchError(f"{where}.{name} is a method {each['name']!r} that {kind} does not use")
            value.__dict__[name] = getattr(value, each["name"])
        else:
            value.__dict__[name] = _read(each, f"{where}.{name}")
    return value


def _read_compiled(kind: str, data: dict[str, Any], where: str) -> Any:
    state = base64.b85decode(data["state"])
    if zlib.crc32(state) != data["crc32"]:
        raise SnapshotDamagedError(f"{where} was changed: its checksum does not match")
    value = river_class(_COMPILED[kind], kind)(*data["made_with"])
    try:
        value.__setstate__(state)
        fits = value.__getstate__() == state
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what Rust raises; no class can be imported for it
            raise
        fits = False
    if not fits:
        raise SnapshotMismatchError(f"{where} is not the state of a {kind} of this version of river")
    return value
