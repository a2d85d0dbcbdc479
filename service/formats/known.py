"""The formats by the names that they have in the settings: those that need nothing, and those with a registry."""

from collections.abc import Callable

from service.formats import Format
from service.formats.float_vector import FloatVectorFormat
from service.formats.json_object import JsonFormat
from service.formats.message_pack import MessagePackFormat

FORMATS: dict[str, Callable[[], Format]] = {
    "json": JsonFormat,
    "msgpack": MessagePackFormat,
    "f32": FloatVectorFormat,
}
REGISTERED = {"avro": "AVRO", "protobuf": "PROTOBUF"}
"""What registries call them."""
