"""A model as bytes, and back: safetensors with a JSON header and a checksum. Never pickle.

The header says what the tensors are: format version, model spec, layout of encoder and classes. A snapshot is
refused by name when it is damaged, of another version, or of a model that was configured differently.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from nnstream.encoder import Encoder
from nnstream.errors import SnapshotDamagedError, SnapshotMismatchError, SpecError
from nnstream.model import Model, ModelSpec

FORMAT = 3
_KEY = "nnstream"
Array = npt.NDArray[Any]


def describe_spec(value: Any) -> Any:
    """Return a spec as JSON-ready data; dataclasses carry their name, infinity is a text.

    Fields that a comparison leaves out are left out here too: they do not make it another one.
    """
    if is_dataclass(value) and not isinstance(value, type):
        told = {f.name: describe_spec(getattr(value, f.name)) for f in fields(value) if f.compare}
        return {"is": type(value).__name__} | told
    if isinstance(value, Mapping):
        return {str(key): describe_spec(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [describe_spec(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class Captured:
    """A copy of a model's state: taken in an instant, written when there is time.

    Attributes:
        header: JSON text.
        arrays: copies.
    """

    header: str
    arrays: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """Return it as `load` reads it: the same bytes for the same state, always."""
        # One entry only: safetensors writes several in an order that differs from call to call.
        metadata = {_KEY: json.dumps({"header": self.header, "sha256": _checksum(self.header, self.arrays)})}
        return bytes(safetensors.numpy.save(dict(self.arrays), metadata))


def capture(
    model: Model, extra: Mapping[str, Any] | None = None, extra_arrays: Mapping[str, Array] | None = None
) -> Captured:
    """Return a copy of everything there is to know about a model.

    Args:
        model: not changed, and free to change afterwards.
        extra: JSON-ready data to keep beside it, given back by `load`.
        extra_arrays: arrays to keep beside it, given back by `load`.
    """
    arrays = _prefixed("learner", model.learner.state())
    arrays |= _prefixed("encoder", model.encoder.state()) | _prefixed("scale", model.scale.state())
    arrays |= _prefixed("extra", extra_arrays or {})
    header = {
        "format": FORMAT,
        "spec": describe_spec(model.spec),
        "version": model.version,
        "inputs": model.encoder.width,
        "encoder": model.encoder.describe(),
        "classes": model.classes.known,
        "extra": dict(extra or {}),
    }
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    return Captured(text, {name: np.array(array, order="C") for name, array in arrays.items()})


def dump(
    model: Model, extra: Mapping[str, Any] | None = None, extra_arrays: Mapping[str, Array] | None = None
) -> bytes:
    """Return everything there is to know about a model, as bytes; arguments as those of `capture`."""
    return capture(model, extra, extra_arrays).to_bytes()


def read_spec(data: bytes) -> Any:
    """Return what `describe_spec` gave of the model in a snapshot; raises SnapshotDamagedError."""
    return _read(data)[0]["spec"]


def load(data: bytes, spec: ModelSpec) -> tuple[Model, dict[str, Any], dict[str, Array]]:
    """Return the model that `dump` wrote, the extra data and the extra arrays.

    Args:
        data: what `dump` returned.
        spec: the model that is expected.

    Raises:
        SnapshotDamagedError: the bytes are not what was written.
        SnapshotMismatchError: it is another format, or another model; the message names what differs.
    """
    header, arrays = _read(data)
    if header["format"] != FORMAT:
        raise SnapshotMismatchError(
            f"the snapshot has format {header['format']}, this program reads {FORMAT}; "
            "use the version of nnstream that wrote it, or start the model anew"
        )
    difference = _difference(header["spec"], json.loads(json.dumps(describe_spec(spec))), "model")
    if difference is not None:
        raise SnapshotMismatchError(
            f"the snapshot belongs to a model that was configured differently: {difference}; "
            "change the configuration back, or give the model a new name to start anew"
        )
    model = Model(spec)
    try:
        model.encoder = Encoder.restored(header["encoder"], _unprefixed("encoder", arrays))
        for label in header["classes"][len(model.classes.known) :]:
            model.classes.add(label)
        model.fit_learner()
        model.learner.restore(_unprefixed("learner", arrays))
        model.scale.restore(_unprefixed("scale", arrays))
    except (SpecError, KeyError) as error:
        raise SnapshotMismatchError(f"the snapshot does not fit the model it describes: {error}") from error
    model.version = header["version"]
    return model, header["extra"], _unprefixed("extra", arrays)


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        sealed = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        text, checksum = sealed["header"], sealed["sha256"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise SnapshotDamagedError(f"not a whole nnstream snapshot ({len(data)} bytes): {error}") from error
    if _checksum(text, arrays) != checksum:
        raise SnapshotDamagedError(f"the checksum does not match: the snapshot ({len(data)} bytes) was changed")
    header: dict[str, Any] = json.loads(text)
    return header, arrays


def _checksum(text: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _difference(found: Any, expected: Any, where: str) -> str | None:
    """Return the first place where two JSON values differ, in words."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(found.keys() | expected.keys()):
            difference = _difference(found.get(key), expected.get(key), f"{where}.{key}")
            if difference is not None:
                return difference
        return None
    return None if found == expected else f"{where} was {json.dumps(found)} and is now {json.dumps(expected)}"


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _unprefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
