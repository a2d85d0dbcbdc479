"""What it costs to get an event out of its bytes: 250 bytes of JSON, 8 features, polls of 500.

All in one run, by turns, medians of CPU time in microseconds an event. Beside the service's own reading of each
format (Avro and Protobuf: a map of features whose values are a union; `flat`: a field a feature): pydantic alone, the
standard library's json with a loop, fastavro, the readers of pyarrow, and, where they are installed, of orjson and
polars. What those give is not checked, so it is a bound: an event still has to be told from a late label, and refused
by name.

    python benchmarks/bench_decode.py [--json] [--repetitions N]
"""

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import fastavro
import live
import msgspec
import pyarrow.json

from nnstream.model import Model, ModelSpec
from service.decode import decode
from service.events import Event
from service.formats.known import FORMATS, REGISTERED
from service.formats.wire_schema import Written, header
from service.settings import Settings
from service.testing import MemoryRecord
from service.wire_formats import event_format

EVENTS, POLL = 20_000, 500
MOST_RATIO = 0.5  # of pydantic alone


def polls(values: Sequence[tuple[bytes, Any]]) -> list[list[MemoryRecord]]:
    records = [MemoryRecord(i, i, None, value, headers) for i, (value, headers) in enumerate(values)]
    return [records[i : i + POLL] for i in range(0, len(records), POLL)]


class OneSchema:
    """A registry with the schema that was registered last: it is asked once a stream."""

    def register(self, _subject: str, schema: Written) -> int:
        """Keep a schema."""
        self._schema = schema
        return 1

    def fetch(self, _schema_id: int) -> Written:
        """Return it."""
        return self._schema


def flat_avro(events: Sequence[dict[str, Any]]) -> tuple[Written, list[bytes]]:
    """Return a schema with a field for each feature, and the events by it."""
    kinds = {float: "double", int: "long", str: "string", bool: "boolean"}
    rows = [{"id": each["id"], "label": each["label"], **each["features"]} for each in events]
    fields = [{"name": name, "type": kinds[type(value)]} for name, value in rows[0].items()]
    schema = {"type": "record", "name": "Flat", "fields": fields}
    parsed, values = fastavro.parse_schema(schema), []
    for row in rows:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, row)
        values.append(out.getvalue())
    return Written("AVRO", json.dumps(schema)), values


def each(function: Callable[[Any], object], values: Sequence[Any]) -> None:
    """Apply a function to each value, and keep nothing: what is kept is what the garbage collector walks through."""
    for value in values:
        function(value)


def ways() -> dict[str, Callable[[], object]]:
    """Return what is timed, by name; each takes all events once."""
    texts = live.events(EVENTS)
    plain = [msgspec.json.decode(text) for text in texts]
    vectors = [each | {"features": {"vector": list(each["features"].values())}} for each in plain]
    check = Model(ModelSpec(task="classification")).check_label
    found: dict[str, Callable[[], object]] = {}
    for name in [*FORMATS, *REGISTERED]:
        settings = Settings(topics={"format": name}, schemas={"url": "http://registry"})  # type: ignore[arg-type]
        form = event_format(settings, OneSchema())
        batches = polls([form.write(each) for each in (vectors if name == "f32" else plain)])
        read = partial(decode, where="events/0", max_event_bytes=2**20, check_label=check, form=form)
        found[f"nnstream, {name}"] = partial(each, read, batches)
    schema, values = flat_avro(plain)
    registry = OneSchema()
    number = registry.register("flat", schema)
    form = event_format(Settings(topics={"format": "avro"}, schemas={"url": "http://registry"}), registry)  # type: ignore[arg-type]
    read = partial(decode, where="events/0", max_event_bytes=2**20, check_label=check, form=form)
    found["nnstream, avro, flat"] = partial(each, read, polls([(header(number) + value, ()) for value in values]))
    parsed = fastavro.parse_schema(json.loads(schema.text))
    found["fastavro, flat, nothing checked"] = partial(
        each, lambda value: fastavro.schemaless_reader(io.BytesIO(value), parsed, None), values
    )
    blocks = [b"\n".join(texts[i : i + POLL]) for i in range(0, EVENTS, POLL)]
    found["pydantic"] = partial(each, Event.model_validate_json, texts)
    found["json, nothing checked"] = partial(each, json.loads, texts)
    found["pyarrow, nothing checked"] = partial(each, lambda block: pyarrow.json.read_json(io.BytesIO(block)), blocks)
    if find_spec("orjson"):
        found["orjson, nothing checked"] = partial(each, import_module("orjson").loads, texts)
    if find_spec("polars"):
        found["polars, nothing checked"] = partial(each, import_module("polars").read_ndjson, blocks)
    return found


def measure(repetitions: int) -> dict[str, float]:
    """Return the median microseconds an event of each way."""
    timed = ways()
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repetitions):
        for name, way in timed.items():
            start = time.process_time()
            way()
            times[name].append((time.process_time() - start) / EVENTS * 1e6)
    return {name: statistics.median(took) for name, took in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    found = measure(arguments.repetitions)
    if arguments.json:
        print(json.dumps({"microseconds": found, "events": EVENTS, "poll": POLL}))
    else:
        for name, took in found.items():
            print(f"{name:32} {took:6.2f} µs   {took / found['pydantic']:5.2f} times pydantic")
    return int(found["nnstream, json"] > MOST_RATIO * found["pydantic"])


if __name__ == "__main__":
    sys.exit(main())
