"""A model from a file or a checkpoint, and out to another file: its state, or one ONNX graph."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnstream import snapshot
from nnstream.conformal import Conformal
from nnstream.errors import SnapshotError
from nnstream.model import Model, ModelSpec
from nnstream.stored_specs import model_spec
from service.errors import DataError


@dataclass(frozen=True)
class Found:
    """A model and what came with it.

    Attributes:
        data: the snapshot.
        model: that is in it.
        conformal: how sure its predictions are; None where that was off, or cannot be said yet.
    """

    data: bytes
    model: Model
    conformal: Conformal | None


def read(path: Path, spec: ModelSpec | None = None) -> Found:
    """Return the model in a file.

    Args:
        path: of the file.
        spec: of the model; None takes what the file says.

    Raises:
        DataError: the file cannot be read, or is no snapshot.
    """
    try:
        return unpacked(path.read_bytes(), spec)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; give a file that nnstream wrote") from error
    except SnapshotError as error:
        raise DataError(f"{path}: {error}") from error


def unpacked(data: bytes, spec: ModelSpec | None = None) -> Found:
    """Return the model in a snapshot, of a checkpoint or by itself; raises SnapshotError."""
    model, extra, arrays = snapshot.load(data, spec or model_spec(snapshot.read_spec(data)))
    described = extra.get("confidence")
    if described is None:
        return Found(data, model, None)
    conformal = Conformal(described["confidence"], regression=model.is_regression)
    prefix = "confidence."
    conformal.restore(
        described, {name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)}
    )
    return Found(data, model, None if math.isnan(conformal.reach) else conformal)


def write(found: Found, path: Path) -> dict[str, Any]:
    """Write a model as the name of the file says; return what was written.

    Raises:
        DataError: the file cannot be written, or the packages for ONNX are not installed.
        SpecError: the model cannot leave as ONNX.
    """
    data = found.data if path.suffix == ".safetensors" else _graph(found)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; give another --out") from error
    return {
        "file": str(path), "bytes": len(data), "samples": found.model.version,
        "features": list(found.model.encoder.features), "classes": found.model.classes.known,
    }  # fmt: skip


def _graph(found: Found) -> bytes:
    try:
        from nnstream.onnx_export import export  # noqa: PLC0415  # an extra: the service works without it
    except ImportError as error:
        raise DataError(
            f"ONNX needs packages that are not installed ({error.name}): pip install 'nnstream[onnx]'"
        ) from None
    return export(found.model, found.conformal)
