"""Avro and Protobuf by the schemas of a registry: the same events, refused for the same reasons."""

import base64
import json
import math
from functools import cache
from io import BytesIO

import pytest
from fastavro import parse_schema, schemaless_writer
from google.protobuf import descriptor_pb2, message_factory
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rig import make_settings
from schemas_in_memory import CHECK, KINDS, decoded, new

from service.errors import RegistryError
from service.events import Event, LateLabel
from service.formats.descriptors import file_of
from service.formats.wire_schema import Written, header
from service.wire_formats import check_newest


def avro(schemas, schema, *records, references=None):
    """Values of an Avro schema that is new to the registry."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    name = schemas.register("any", Written("AVRO", text, references or {}))
    named = {}
    for each in (references or {}).values():
        parse_schema(json.loads(each), named)
    parsed, out = parse_schema(json.loads(text), named), []
    for record in records:
        stream = BytesIO()
        schemaless_writer(stream, parsed, record)
        out.append(header(name) + stream.getvalue())
    return out


def record(*fields, name="R"):
    return {"type": "record", "name": name, "fields": [{"name": n, "type": kind} for n, kind in fields]}


# -- the same as the public records

INTEGERS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.booleans() | INTEGERS | st.floats() | st.text(max_size=5)
ELEMENTS = {"avro": st.none() | INTEGERS | st.floats(), "protobuf": st.none() | st.floats()}


def bodies(name):
    values = st.none() | SCALARS | st.lists(ELEMENTS[name], max_size=3)
    id_values = {"avro": st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4)}.get(name, SCALARS)
    optional = {"id": id_values, "ts": INTEGERS, "label": SCALARS}
    features = {"features": st.dictionaries(st.text(max_size=4), values, max_size=4)}
    return st.fixed_dictionaries(features, optional=optional) | st.fixed_dictionaries({}, optional=optional)


def public(plain):
    """The event or late label that the public records see in plain data; None where it is neither."""
    for kind in (Event, LateLabel):
        try:
            return kind.model_validate(plain)
        except ValidationError as error:
            if not any(each["type"] == "missing" and each["loc"] == ("features",) for each in error.errors()):
                return None
    return None


shared = cache(new)  # a Protobuf file is compiled by a process of its own


@pytest.mark.parametrize("name", sorted(KINDS))
@given(data=st.data())
def test_it_takes_what_the_public_record_says(name, data):
    form, _ = shared(name)
    plain = data.draw(st.lists(bodies(name), min_size=1, max_size=4))
    found = decoded(form, *(form.write(each)[0] for each in plain))
    rows = {row.offset: i for i, row in enumerate(found.records)}
    reasons = {each.record.offset: each.problem for each in found.refused}
    for i, each in enumerate(plain):
        wanted = public(each)
        if wanted is None:
            assert i in reasons
        elif reasons.get(i) == "label":
            with pytest.raises(Exception, match="label"):
                CHECK(wanted.label)
        else:
            assert found.features[rows[i]] == getattr(wanted, "features", None)
            assert (found.labels[rows[i]], type(found.labels[rows[i]])) == (wanted.label, type(wanted.label))
            assert found.ids[rows[i]] == (f"events/0/{i}" if wanted.id is None else wanted.id)
            assert found.timestamps[rows[i]] == (1000 + i if wanted.ts is None else wanted.ts)


@pytest.mark.parametrize("name", sorted(KINDS))
@given(tail=st.binary(max_size=60))
def test_whatever_bytes_come_they_are_an_event_or_refused(name, tail):
    form, schemas = shared(name)
    form.write({"features": {}})
    found = decoded(form, header(1) + tail, tail)
    assert len(found.records) + len(found.refused) == 2
    assert all(each.problem in {"unreadable", "features", "label", "invalid", "empty"} for each in found.refused)
    assert len(schemas.schemas) == 1


def test_dead_letters_of_the_same_bytes_say_the_same():
    form, _ = new("avro")
    value = form.write({"features": {"a": 1.5}})[0]
    first, second = (decoded(form, value[:-3]).refused[0].reason for _ in range(2))
    assert first == second == "schema 1: not Avro of its schema: the value ends too early"


# -- schemas of others, Avro

TS = {"type": "long", "logicalType": "timestamp-micros"}


def test_the_fields_of_a_flat_record_are_the_features():
    form, schemas = new("avro", id_field="no", label_field="fraud", ts_field="at")
    inner = record(("city", "string"), ("zip", ["null", "int"]), name="Address")
    colour = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
    price = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
    schema = record(
        ("no", "long"), ("at", TS), ("fraud", ["null", colour]), ("price", price),
        ("day", {"type": "int", "logicalType": "date"}), ("address", ["null", inner]), ("paint", "Colour"),
        ("ok", "boolean"), ("sizes", {"type": "array", "items": "float"}),
    )  # fmt: skip
    one = {
        "no": 7, "at": 1_700_000_000_123_999, "fraud": "RED", "price": b"\x04\xd2", "day": 19_000,
        "address": {"city": "Rome", "zip": None}, "paint": "BLUE", "ok": True, "sizes": [0.5, 2.0],
    }  # fmt: skip
    plain = json.loads(json.dumps(schema).replace(', "logicalType": "decimal"', ""))
    plain["fields"][1]["type"] = "long"
    plain["fields"][4]["type"] = "int"
    name = schemas.register("any", Written("AVRO", json.dumps(schema)))
    values = [header(name) + each[5:] for each in avro(schemas, plain, one, one | {"address": None, "fraud": None})]
    found = decoded(form, *values)
    features = {"price": 12.34, "day": 19_000, "paint": "BLUE", "ok": True, "sizes": [0.5, 2.0]}
    assert found.features == [features | {"address.city": "Rome", "address.zip": None}, features]
    assert (found.ids, found.labels) == ([7, 7], ["RED", None])
    assert found.timestamps == [1_700_000_000_123] * 2
    assert schemas.asked == [name]  # once


def test_a_schema_without_any_other_field_is_of_late_labels():
    form, schemas = new("avro")
    label = avro(schemas, record(("id", "string"), ("label", "int")), {"id": "e-1", "label": 1})
    event = avro(
        schemas, record(("id", "string"), ("x", "double"), ("label", "int")), {"id": "e-1", "x": 1.0, "label": 1}
    )
    assert decoded(form, *label, *event).features == [None, {"x": 1.0}]
    both = decoded(form, *label, *event, labels_only=True)
    assert (both.features, both.labels) == ([None, None], [1, 1])


def test_schemas_may_refer_to_others():
    form, schemas = new("avro")
    value = {"type": "record", "name": "shop.Value", "fields": [{"name": "x", "type": "double"}]}
    schema = record(("features", "shop.Value"), ("label", "int"))
    [found] = avro(schemas, schema, {"features": {"x": 1.5}, "label": 0}, references={"value": json.dumps(value)})
    assert decoded(form, found).features == [{"x": 1.5}]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ('{"type": "record"', "no Avro schema"),
        ('"string"', "no record"),
        (json.dumps(record(("x", "nowhere"))), "no Avro schema"),
        (json.dumps(record(("x", ["null", "R"]))), "within itself"),
        (json.dumps(record(("x", {"type": "array", "items": "null"}))), "takes no bytes"),
        (json.dumps(record(("x", {"type": "array", "items": record(name="Nothing")}))), "takes no bytes"),
    ],
)
def test_schemas_that_can_hold_no_event(schema, words):
    form, schemas = new("avro")
    schemas.register("any", Written("AVRO", schema))
    [refused] = decoded(form, header(1) + b"\0\0").refused
    assert refused.problem == "unreadable"
    assert words in refused.reason
    assert len(schemas.asked) == 1
    with pytest.raises(RegistryError, match=words):
        check_newest(make_settings(topics={"format": "avro"}), lambda _: schemas.schemas[0])


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ({"type": "map", "values": "bytes"}, {"a": b"x"}, "features.a: expected a number"),
        ({"type": "map", "values": "double"}, {"a": math.nan}, "features.a: NaN"),
        ("string", "a=1", "features: expected an object"),
    ],
)
def test_features_that_are_none(kind, value, words):
    form, schemas = new("avro")
    [refused] = decoded(form, *avro(schemas, record(("features", kind)), {"features": value})).refused
    assert words in refused.reason


def test_two_fields_that_would_be_one_feature():
    form, schemas = new("avro")
    values = {"type": "map", "values": ["double", {"type": "map", "values": "double"}]}
    [refused] = decoded(
        form, *avro(schemas, record(("features", values)), {"features": {"a.b": 1.0, "a": {"b": 2.0}}})
    ).refused
    assert "features.a.b: two fields" in refused.reason


# -- schemas of others, Protobuf

PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "shared/colour.proto";
message Unused { string x = 1; }
message Outer {
  message Payment {
    string id = 1;
    int64 ts = 2;
    optional int32 label = 3;
    Colour paint = 4;
    google.protobuf.DoubleValue amount = 5;
    google.protobuf.Timestamp since = 6;
    repeated float sizes = 7;
    Payment before = 8;
    oneof way { double cash = 9; string card = 10; }
    map<string, int64> counts = 11;
    google.protobuf.Struct more = 12;
  }
}
"""
COLOUR = 'syntax = "proto3";\nenum Colour { RED = 0; BLUE = 1; }\n'
ONE = {
    "label": 0, "paint": "BLUE", "since": {"seconds": 3, "nanos": 5_999_999}, "sizes": [0.5, 2.0],
    "before": {"cash": 2.5, "paint": 9}, "card": "visa", "counts": {"b": 2, "a": 1},
}  # fmt: skip


def descriptor_text(file):
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    return base64.b64encode(proto.SerializeToString()).decode()


@pytest.mark.parametrize("binary", [False, True], ids=["text", "descriptors"])
def test_messages_by_the_rules_of_protobuf(binary):
    form, schemas = new("protobuf")
    schema = Written("PROTOBUF", PROTO, {"shared/colour.proto": COLOUR})
    file = file_of(schema)
    if binary:
        colour = descriptor_text(file.pool.FindFileByName("shared/colour.proto"))
        schema = Written("PROTOBUF", descriptor_text(file), {"shared/colour.proto": colour})
    schemas.register("any", schema)
    kind = message_factory.GetMessageClass(file.message_types_by_name["Outer"].nested_types[0])
    message = kind(**ONE)
    message.more["z"] = 1.0
    found = decoded(form, header(1) + b"\4\2\0" + message.SerializeToString())
    assert not found.refused
    inner = found.features[0]
    assert (found.ids, found.timestamps, found.labels) == (["events/0/0"], [1000], [0])  # "" and 0 are no id, no ts
    assert {name: inner[name] for name in ("paint", "amount", "since", "sizes", "cash", "card")} == {
        "paint": "BLUE", "amount": None, "since": 3005, "sizes": [0.5, 2.0], "cash": None, "card": "visa",
    }  # fmt: skip
    assert (inner["counts.a"], inner["counts.b"], inner["more.z"]) == (1, 2, 1.0)
    assert list(inner).index("counts.a") < list(inner).index("counts.b")
    assert (inner["before.cash"], inner["before.paint"]) == (2.5, "9")
    assert "before.before" not in inner


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "ends before the message"),
        (b"\2", "ends before the message"),
        (b"\2\x06", "no message at [3]"),
        (b"\1", "-1 can be no number"),
        (b"\x80" * 12, "damaged"),
        (b"\0\x0a\xff", "not Protobuf"),
    ],
)
def test_messages_that_are_none(value, words):
    form, _ = new("protobuf")
    form.write({"features": {}})
    [refused] = decoded(form, header(1) + value).refused
    assert refused.problem == "unreadable"
    assert words in refused.reason


@pytest.mark.parametrize(
    ("text", "words"),
    [("message {", "no Protobuf file"), ('syntax = "proto3"; import "nowhere.proto";', "nowhere.proto")],
)
def test_files_that_are_none(text, words):
    form, schemas = new("protobuf")
    schemas.register("any", Written("PROTOBUF", text))
    assert words in decoded(form, header(1) + b"\0").refused[0].reason
