"""Avro and Protobuf through a real broker and a real registry; Confluent's own serializers on the other end."""

import json
from contextlib import ExitStack

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaRegistryClient, ServerConfig
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import message_factory
from harness import assert_same, essence, generated, wait_until

from service.formats.descriptors import file_of
from service.formats.own_schemas import own_schema
from service.formats.wire_schema import Written

pytestmark = pytest.mark.integration

COUNT = 2_000
AVRO = {
    "type": "record", "name": "Payment", "namespace": "shop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "a", "type": "double"},
        {"name": "b", "type": "double"},
        {"name": "c", "type": ["null", "double"], "default": None},
        {"name": "label", "type": ["null", "long"], "default": None},
    ],
}  # fmt: skip
NEWER = AVRO | {"fields": [*AVRO["fields"], {"name": "city", "type": "string", "default": "Rome"}]}
PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Before { string unused = 1; }
message Payment {
  message Inner { double b = 1; optional double c = 2; }
  optional string id = 1;
  google.protobuf.Timestamp ts = 2;
  double a = 3;
  Inner inner = 4;
  optional int64 label = 5;
}
"""


def message_types(schema):
    types = file_of(schema).message_types_by_name
    return {name: message_factory.GetMessageClass(each) for name, each in types.items()}


def flat(event, **more):
    fields = {name: event[name] for name in ("ts", "label") if name in event}
    return {"id": f"e-{event['id']}", **fields, **event["features"], **more}


def as_message(kind, event):
    a, b, c = event["features"].values()
    inner = {"b": b} if c is None else {"b": b, "c": c}
    seconds, ms = divmod(event["ts"], 1000)
    ts = {"seconds": seconds, "nanos": ms * 1_000_000}
    return kind(id=f"e-{event['id']}", ts=ts, a=a, inner=inner, label=event["label"])


class Shop:
    """Who produces and who subscribes, with nothing of ours."""

    def __init__(self, kafka, url, topics):
        self.client = SchemaRegistryClient({"url": url})
        self._topics, self._servers = topics, kafka.servers
        self._producer = Producer({"bootstrap.servers": kafka.servers, "linger.ms": 5})

    def send(self, serializer, bodies):
        context = SerializationContext(self._topics["events"], MessageField.VALUE)
        for body in bodies:
            raw = body if isinstance(body, bytes) else serializer(body, context)
            self._producer.produce(self._topics["events"], raw, partition=0)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def predictions(self, deserializer, count):
        consumer = Consumer({
            "bootstrap.servers": self._servers, "group.id": "shop", "isolation.level": "read_committed",
            "enable.auto.commit": False,
        })  # fmt: skip
        consumer.assign([TopicPartition(self._topics["predictions"], 0, 0)])
        context, found = SerializationContext(self._topics["predictions"], MessageField.VALUE), []

        def read():
            found.extend(consumer.consume(5000, 0.5))
            return len(found) >= count

        try:
            wait_until(read, f"{count} predictions")
        finally:
            consumer.close()
        assert [record.error() for record in found] == [None] * count
        return [deserializer(record.value(), context) for record in found]


@pytest.fixture
def shop(kafka, schema_registry, new_service):
    with ExitStack() as closing:

        def new(form, **topics):
            service = new_service({"topics": {"format": form, **topics}, "schemas": {"url": schema_registry.url}})
            there = Shop(kafka, schema_registry.url, service.topics)
            closing.enter_context(there.client)
            return service, there

        yield new


def of_json(prediction):
    """A prediction as JSON would have it: fields that are null are left out, but for the prediction itself."""
    return {name: value for name, value in prediction.items() if value is not None or name == "prediction"}


def avro_serializer(shop, schema):
    return AvroSerializer(shop.client, json.dumps(schema))


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_avro_whose_schema_changes_while_the_registry_goes_and_comes(shop, schema_registry, client):
    service, there = shop("avro")
    events = generated(COUNT, seed=3)
    newer = [each | {"features": each["features"] | {"city": "Oslo" if i % 3 else "Rome"}}
             for i, each in enumerate(generated(COUNT, seed=4, start=COUNT))]  # fmt: skip
    service.start()
    there.send(avro_serializer(there, AVRO), [flat(each) for each in events])
    service.wait_committed(COUNT)
    serializer = avro_serializer(there, NEWER)
    there.send(serializer, [flat(newer[0])])  # registers the newer schema, ...
    service.wait_committed(COUNT + 1)
    last = avro_serializer(there, NEWER | {"doc": "the service has not seen this one"})
    last(flat(newer[-1]), SerializationContext(service.topics["events"], MessageField.VALUE))
    schema_registry.kill()  # ... and now nobody can ask for the third
    try:
        there.send(serializer, [flat(each) for each in newer[1:500]])
        service.wait_committed(COUNT + 500)  # what is known needs no registry
        there.send(last, [flat(each) for each in newer[500:]])
        wait_until(
            lambda: "schema registry" in service.get("/readyz").text, "/readyz names the registry", service.check
        )
        assert service.get("/readyz").status_code == 503
        assert service.metric("nnstream_schema_registry_reachable") == 0
    finally:
        schema_registry.start()
    service.wait_committed(2 * COUNT)
    service.wait_ready()
    assert service.metric("nnstream_schema_registry_reachable") == 1
    service.stop()
    found = [of_json(each) for each in there.predictions(AvroDeserializer(there.client), 2 * COUNT)]
    assert [each["id"] for each in found] == [f"e-{i}" for i in range(2 * COUNT)]
    assert_same(list(map(essence, found)), service.offline([*events, *newer]))
    assert service.kafka.end_offsets(service.topics["dead_letters"]) == {0: 0}


def test_protobuf_is_read_and_written_and_what_is_damaged_is_a_dead_letter(shop, client):
    service, there = shop("protobuf")
    kind = message_types(Written("PROTOBUF", PROTO))["Payment"]
    events = generated(COUNT, seed=5)
    service.start()
    serializer = ProtobufSerializer(kind, there.client)
    good = [as_message(kind, each) for each in events]
    first = serializer(good[0], SerializationContext(service.topics["events"], MessageField.VALUE))
    bad = [b"", b"{}", b"\0\0\1", b"\0\x7f\xff\xff\xff\0", first[:-3], first[:5] + b"\2\x12" + first[7:]]
    there.send(serializer, [*good[:100], *bad, *good[100:]])
    service.wait_committed(COUNT + len(bad))
    service.stop()
    prediction = message_types(own_schema("prediction", "PROTOBUF"))["Prediction"]
    found = there.predictions(ProtobufDeserializer(prediction, {"use.deprecated.format": False}), COUNT)
    assert [each.id.text for each in found] == [f"e-{i}" for i in range(COUNT)]
    plain = [{"features": {"a": a, "inner.b": b} | ({"inner.c": c}), "label": each["label"]}
             for each in events for a, b, c in [each["features"].values()]]  # fmt: skip
    assert_same([essence_of_message(each) for each in found], service.offline(plain))
    letters = service.kafka.read(service.topics["dead_letters"], len(bad))[0]
    assert [letter.value for letter in letters] == bad
    reasons = [json.loads(dict(letter.headers)["nnstream-dead-letter"])["reason"] for letter in letters]
    words = ["empty", "0x7b", "3 bytes", "no schema 2147483647", "not Protobuf", "no message at"]
    assert all(word in reason for word, reason in zip(words, reasons, strict=True)), reasons


def essence_of_message(found):
    """What the library decides of a prediction in Protobuf."""
    value = lambda each: getattr(each, each.WhichOneof("kind")) if each.WhichOneof("kind") else None  # noqa: E731
    body = {"prediction": value(found.prediction), "version": found.model.version, "label": value(found.label)}
    if found.HasField("loss"):
        body["loss"] = found.loss
    return body | ({"probabilities": dict(found.probabilities)} if found.probabilities else {})


def test_an_incompatible_schema_is_an_error_at_the_start(shop):
    service, there = shop("avro")
    subject = f"{service.topics['predictions']}-value"
    other = {
        "type": "record",
        "name": "Prediction",
        "namespace": "nnstream",
        "fields": [{"name": "x", "type": "int"}],
    }
    there.client.register_schema(subject, Schema(json.dumps(other), "AVRO"))
    there.client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
    code, said = service.refusal()
    assert code == 3
    assert f"refuses the schema of {subject}" in said
    assert "compatible" in said


def test_events_of_a_schema_that_holds_none_are_an_error_at_the_start(shop):
    service, there = shop("avro")
    there.client.register_schema(f"{service.topics['events']}-value", Schema('"string"', "AVRO"))
    code, said = service.refusal()
    assert code == 3
    assert "no record" in said


def test_what_must_not_be_registered_has_to_be_there(shop, schema_registry):
    service, there = shop("json", predictions_format="avro")
    service.set({"schemas": {"url": schema_registry.url, "auto_register": False}})
    code, said = service.refusal()
    assert code == 3
    assert "auto_register" in said
    there.client.register_schema(
        f"{service.topics['predictions']}-value", Schema(own_schema("prediction", "AVRO").text, "AVRO")
    )
    service.start()
    events = generated(50, seed=6)
    service.produce(events)
    found = [of_json(each) for each in there.predictions(AvroDeserializer(there.client), 50)]
    service.stop()
    assert_same(list(map(essence, found)), service.offline(events))
