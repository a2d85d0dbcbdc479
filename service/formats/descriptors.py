"""Protobuf files of a registry, as text or as descriptors, become descriptors that messages are read by."""

import base64
import binascii
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError

from service.formats.problems import NoEventError
from service.formats.wire_schema import Written

_MAIN = "nnstream_main.proto"
_PROTOC_SECONDS = 60
_WELL_KNOWN = "google/protobuf/"


def file_of(schema: Written) -> Any:
    """Return the descriptor of a Protobuf file.

    Raises:
        NoEventError: it is none, or imports what is not there.
    """
    binary = [_binary(text) for text in (*schema.references.values(), schema.text)]
    if all(each is not None for each in binary):
        files = binary
        for each, name in zip(files, (*schema.references, None), strict=True):
            each.name = name or each.name or _MAIN
    else:
        files = _compiled(schema)
    pool = descriptor_pool.DescriptorPool()
    try:
        for each in files:
            _add(pool, each)
        return pool.FindFileByName(files[-1].name)
    except (TypeError, KeyError, ValueError) as error:
        raise _no_schema(str(error)) from None


def message_at(file: Any, path: Sequence[int]) -> Any:
    """Return the message type that the indexes of the wire format name: of the file, then each of the one before.

    Raises:
        NoEventError: there is none.
    """
    types = list(file.message_types_by_name.values())
    found: Any = None
    for index in path:
        if not 0 <= index < len(types):
            raise NoEventError("unreadable", f"its schema has no message at {list(path)}")
        found = types[index]
        types = list(found.nested_types)
    return found


def _add(pool: Any, file: Any) -> None:
    """Add a file to a pool after the well-known ones that it imports."""
    for name in file.dependency:
        if name.startswith(_WELL_KNOWN) and not _has(pool, name):
            module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
            known = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(known)
            _add(pool, known)
    if not _has(pool, file.name):
        pool.AddSerializedFile(file.SerializeToString())


def _has(pool: Any, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True


def _binary(text: str) -> Any:
    """Return a FileDescriptorProto in base64; None where it is something else."""
    try:
        found = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, DecodeError, ValueError):
        return None
    return found if found.message_type or found.enum_type else None


def _compiled(schema: Written) -> list[Any]:
    """Return what protoc makes of the text of a schema and of those it imports."""
    with tempfile.TemporaryDirectory(prefix="nnstream-protoc-") as directory:
        root, out = Path(directory) / "in", Path(directory) / "out"
        for name, text in (*schema.references.items(), (_MAIN, schema.text)):
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                raise _no_schema(f"it imports {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", "--include_imports"]
        done = subprocess.run(  # noqa: S603  # our own interpreter; the names of files are our own too
            [*command, f"--descriptor_set_out={out}", _MAIN],
            capture_output=True, text=True, check=False, timeout=_PROTOC_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise _no_schema(next((line for line in done.stderr.splitlines() if ".proto:" in line), "protoc failed"))
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _no_schema(said: str) -> NoEventError:
    return NoEventError("unreadable", f"its schema is no Protobuf file: {said[:200]}")
