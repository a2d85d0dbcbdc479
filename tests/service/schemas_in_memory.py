"""A schema registry in memory, and formats that use it."""

from rig import make_settings

from nnstream.model import Model, ModelSpec
from service.decode import decode
from service.errors import RegistryAwayError
from service.testing import MemoryRecord
from service.wire_formats import event_format

CHECK = Model(ModelSpec(task="classification")).check_label
KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF"}


class MemorySchemas:
    """A registry in memory; ids count from 1."""

    def __init__(self):
        self.schemas, self.subjects, self.asked, self.away = [], {}, [], False

    def fetch(self, schema_id):
        if self.away:
            raise RegistryAwayError("it is away")
        self.asked.append(schema_id)
        return self.schemas[schema_id - 1] if schema_id <= len(self.schemas) else None

    def register(self, subject, schema):
        self.schemas.append(schema)
        self.subjects[subject] = schema
        return len(self.schemas)


def new(name, **fields):
    schemas = MemorySchemas()
    settings = make_settings(topics={"format": name}, schemas={"url": "http://registry"} | fields)
    return event_format(settings, schemas), schemas


def decoded(form, *values, labels_only=False):
    rows = [MemoryRecord(i, 1000 + i, None, value, ()) for i, value in enumerate(values)]
    return decode(rows, "events/0", 10_000, CHECK, form, labels_only=labels_only)
