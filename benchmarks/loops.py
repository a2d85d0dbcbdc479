"""What `bench_throughput.py` runs beside the service, each in a process of its own: loops from topic to topic.

    python benchmarks/loops.py NAME SERVERS EVENTS PREDICTIONS GROUP GUARANTEE [LINGER_MS]

The echo loops send each value back as it came, and are what a client can do at most. The others predict and learn
each event as their users would write it. All commit every 100 ms, at least once or in a transaction, until killed.
"""

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

COMMIT_SECONDS = 0.1
BATCH = 2000
LINGER_MS = int(sys.argv[7]) if len(sys.argv) > 7 else 5

Answer = Callable[[bytes], bytes]


class Client(Protocol):
    """A consumer and a producer."""

    def read(self) -> Sequence[tuple[int, bytes]]:
        """Return offsets and values that have arrived."""

    def write(self, values: Iterable[bytes]) -> None:
        """Send values."""

    def commit(self, offset: int) -> None:
        """Wait until all is durable, and commit the offset of the next event."""


class KafkaPython:
    """kafka-python with the service's options."""

    def __init__(self, servers: str, events: str, predictions: str, group: str, *, exactly_once: bool) -> None:
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition
        from kafka.structs import OffsetAndMetadata

        self._topic, self._transactional = predictions, exactly_once
        self._offsets = lambda offset: {TopicPartition(events, 0): OffsetAndMetadata(offset, "", -1)}
        self._consumer = KafkaConsumer(
            events, bootstrap_servers=servers, group_id=group, enable_auto_commit=False, max_poll_records=BATCH,
            auto_offset_reset="earliest", max_partition_fetch_bytes=4 * 2**20, isolation_level="read_committed",
        )  # fmt: skip
        identity = {"transactional_id": uuid.uuid4().hex} if exactly_once else {}
        self._producer = KafkaProducer(bootstrap_servers=servers, linger_ms=LINGER_MS, batch_size=2**18, **identity)
        if exactly_once:
            self._producer.init_transactions()
            self._producer.begin_transaction()

    def read(self) -> Sequence[tuple[int, bytes]]:  # noqa: D102
        found = self._consumer.poll(timeout_ms=100)
        return [(record.offset, record.value) for records in found.values() for record in records]

    def write(self, values: Iterable[bytes]) -> None:  # noqa: D102
        for value in values:
            self._producer.send(self._topic, value, partition=0)

    def commit(self, offset: int) -> None:  # noqa: D102
        if not self._transactional:
            self._producer.flush()
            self._consumer.commit(self._offsets(offset))
            return
        self._producer.send_offsets_to_transaction(self._offsets(offset), self._consumer.group_metadata())
        self._producer.commit_transaction()
        self._producer.begin_transaction()


class Librdkafka:
    """confluent-kafka with the service's options."""

    def __init__(self, servers: str, events: str, predictions: str, group: str, *, exactly_once: bool) -> None:
        from confluent_kafka import Consumer, Producer, TopicPartition

        self._topic, self._transactional = predictions, exactly_once
        self._offsets = lambda offset: [TopicPartition(events, 0, offset)]
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False,
                "enable.auto.offset.store": False, "auto.offset.reset": "earliest",
                "isolation.level": "read_committed", "max.partition.fetch.bytes": 4 * 2**20,
                "fetch.queue.backoff.ms": 10,
            }
        )  # fmt: skip
        self._consumer.subscribe([events])
        identity = {"transactional.id": uuid.uuid4().hex} if exactly_once else {}
        self._producer = Producer(
            {
                "bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": LINGER_MS, "batch.size": 2**20,
                "delivery.report.only.error": True, **identity,
            }
        )  # fmt: skip
        if exactly_once:
            self._producer.init_transactions(30)
            self._producer.begin_transaction()

    def read(self) -> Sequence[tuple[int, bytes]]:  # noqa: D102
        first = self._consumer.poll(0.1)
        if first is None:
            return ()
        return [(each.offset(), each.value()) for each in (first, *self._consumer.consume(BATCH - 1, 0))]

    def write(self, values: Iterable[bytes]) -> None:  # noqa: D102
        produce = self._producer.produce
        for value in values:
            try:
                produce(self._topic, value, None, 0)
            except BufferError:
                self._producer.flush()
                produce(self._topic, value, None, 0)
        self._producer.poll(0)

    def commit(self, offset: int) -> None:  # noqa: D102
        if not self._transactional:
            self._producer.flush()
            self._consumer.commit(offsets=self._offsets(offset), asynchronous=False)
            return
        self._producer.send_offsets_to_transaction(self._offsets(offset), self._consumer.consumer_group_metadata())
        self._producer.commit_transaction()
        self._producer.begin_transaction()


def run(client: Client, answer: Answer | None) -> None:
    """Go on for ever."""
    done, deadline = None, time.monotonic() + COMMIT_SECONDS
    while True:
        found = client.read()
        if found:
            client.write([value for _, value in found] if answer is None else [answer(value) for _, value in found])
            done = found[-1][0] + 1
        if done is not None and time.monotonic() >= deadline:
            client.commit(done)
            done, deadline = None, time.monotonic() + COMMIT_SECONDS


def river() -> Answer:
    """Return River's linear pipeline from JSON to JSON."""
    from river import linear_model, preprocessing

    return _answer(preprocessing.StandardScaler() | linear_model.LogisticRegression())


def deep_river() -> Answer:
    """Return deep-river's classifier around a PyTorch network 8-32-2, from JSON to JSON."""
    import torch
    from deep_river.classification import Classifier

    torch.set_num_threads(1)
    module = torch.nn.Sequential(
        torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2), torch.nn.Softmax(-1)
    )
    return _answer(Classifier(module=module, loss_fn="cross_entropy", optimizer_fn="sgd", lr=0.05))


def _answer(model: Any) -> Answer:
    def answer(value: bytes) -> bytes:
        event = json.loads(value)
        shares = model.predict_proba_one(event["features"])
        model.learn_one(event["features"], bool(event["label"]))
        body = {str(int(name)): share for name, share in shares.items()}
        return json.dumps({"id": event["id"], "probabilities": body, "label": event["label"]}).encode()

    return answer


def quix(servers: str, events: str, predictions: str, group: str, *, exactly_once: bool) -> None:
    """Run River's pipeline in Quix Streams."""
    from quixstreams import Application

    model = river()
    app = Application(
        broker_address=servers, consumer_group=group, auto_offset_reset="earliest", auto_create_topics=False,
        processing_guarantee="exactly-once" if exactly_once else "at-least-once", commit_interval=COMMIT_SECONDS,
        loglevel="ERROR",
    )  # fmt: skip
    source = app.topic(events, value_deserializer="bytes")
    target = app.topic(predictions, value_serializer="bytes")
    app.dataframe(source).apply(model).to_topic(target)
    app.run()


def bytewax(servers: str, events: str, predictions: str) -> None:
    """Run River's pipeline in Bytewax; its progress lies in a recovery store of its own, at least once."""
    from bytewax import operators
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.run import cli_main

    model, flow = river(), Dataflow("river")
    messages = operators.input("events", flow, KafkaSource([servers], [events], batch_size=BATCH))
    answers = operators.map("answers", messages, lambda message: KafkaSinkMessage(None, model(message.value)))
    operators.output("predictions", answers, KafkaSink([servers], predictions))
    with tempfile.TemporaryDirectory() as directory:
        init_db_dir(Path(directory), 1)
        cli_main(
            flow, epoch_interval=timedelta(seconds=COMMIT_SECONDS), recovery_config=RecoveryConfig(directory)
        )  # fmt: skip


CLIENTS: dict[str, Callable[..., Client]] = {"kafka-python": KafkaPython, "librdkafka": Librdkafka}
ANSWERS: dict[str, Callable[[], Answer | None]] = {"echo": lambda: None, "river": river, "deep-river": deep_river}


if __name__ == "__main__":
    name, *where, guarantee = sys.argv[1:7]
    exactly = guarantee == "exactly_once"
    if name == "quix":
        quix(*where, exactly_once=exactly)
    elif name == "bytewax":
        bytewax(*where[:3])
    else:
        kind, _, by = name.partition("@")
        run(CLIENTS[by](*where, exactly_once=exactly), ANSWERS[kind]())
