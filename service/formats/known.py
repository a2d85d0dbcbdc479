"""The formats by the names that they have in the settings."""

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
