"""What Confluent's wire format puts before a value, and what a registry keeps: shared by Avro and Protobuf."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service.formats.problems import NoEventError

Kind = Literal["AVRO", "PROTOBUF"]
HEADER_BYTES = 5
_MAGIC = 0
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Written:
    """A schema as a registry has it.

    Attributes:
        kind: `AVRO`, `PROTOBUF`, or another that is not read here.
        text: of the schema; a Protobuf file may also be a FileDescriptorProto in base64.
        references: texts of the schemas it refers to, by the names it has for them, each after those it needs itself.
    """

    kind: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)


class Schemas(Protocol):
    """A schema registry."""

    def fetch(self, schema_id: int) -> Written | None:
        """Return a schema; None where the registry has none of this id.

        Raises:
            RegistryAwayError: the registry gave no answer for a while; nothing that needs it may be judged now.
        """

    def register(self, subject: str, schema: Written) -> int:
        """Return the id of a schema that is, from now on at the latest, one of a subject.

        Raises:
            RegistryError: it does not fit to the subject's other schemas, or must not be registered.
            RegistryAwayError: no answer.
        """


def schema_id_of(value: bytes) -> int:
    """Return the id of the schema that a value was written with.

    Raises:
        NoEventError: there is none.
    """
    if not value:
        raise NoEventError("empty", "the value is empty; an event begins with a 0 and the id of its schema")
    if value[0] != _MAGIC:
        raise NoEventError(
            "unreadable", f"the value begins with the byte 0x{value[0]:02x}, not with the 0 before a schema's id"
        )
    if len(value) < HEADER_BYTES:
        raise NoEventError("unreadable", f"the value has {len(value)} bytes; a 0 and the id of a schema take 5")
    found = int.from_bytes(value[1:HEADER_BYTES], "big")
    if not 0 < found <= _LARGEST_ID:
        raise NoEventError("unreadable", f"{found} can be no id of a schema")
    return found


def header(schema_id: int) -> bytes:
    """Return what stands before a value that is written with a schema."""
    return bytes([_MAGIC]) + schema_id.to_bytes(4, "big")
