"""Checkpoints in a Kafka topic, on a real broker: the contract of stores, and what is a topic's own."""

import json
import random
import time
from contextlib import closing, suppress

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError
from stores import LARGE, P0, StoreContract

from service.adapters.kafka_python import store as store_module
from service.adapters.kafka_python.connection import close_producer
from service.adapters.kafka_python.publisher import KafkaPythonPublisher
from service.adapters.kafka_python.store import KafkaTopicStore
from service.adapters.kafka_python.topics import KafkaPythonTopics
from service.errors import CheckpointError, StartOverError, TopicMissingError
from service.records import Outgoing
from service.settings import KafkaSettings, TopicSettings
from service.topics import ensure_topics

pytestmark = pytest.mark.integration


class TestTopic(StoreContract):
    @pytest.fixture
    def topic(self, kafka, unique):
        name = unique("stream")
        names = {
            kind: f"{name}-{kind}" for kind in ("events", "predictions", "dead_letters", "alerts", "checkpoints")
        }
        with closing(KafkaPythonTopics(KafkaSettings(bootstrap_servers=kafka.servers))) as admin:
            ensure_topics(admin, TopicSettings(**names, partitions=2), with_checkpoints=True)
        return names["checkpoints"]

    @pytest.fixture
    def new_store(self, kafka, topic):
        stores = []

        def new(model="default", group="group"):
            stores.append(
                KafkaTopicStore(KafkaSettings(bootstrap_servers=kafka.servers, group_id=group), topic, model)
            )
            return stores[-1]

        yield new
        for store in stores:
            store.close()

    @pytest.fixture
    def send(self, kafka, topic):
        with closing(KafkaProducer(bootstrap_servers=kafka.servers)) as producer:
            yield lambda key, value: producer.send(topic, key=key, value=value, partition=0).get(30).offset

    def test_groups_do_not_touch_each_other(self, new_store):
        mine, yours = new_store(group="mine"), new_store(group="yours")
        mine.save(P0, 5, b"mine")
        assert yours.offsets(P0) == []

    def test_a_half_written_one_is_not_there(self, new_store, kafka, topic):
        store = new_store()
        store.save(P0, 1, LARGE)
        with closing(KafkaProducer(bootstrap_servers=kafka.servers)) as producer:
            producer.send(topic, key=b'["group","default","events",0,2,"abc",0]', value=b"x", partition=0).get(30)
        assert store.offsets(P0) == [1]

    def test_a_damaged_one_is_refused_by_name(self, new_store, kafka, topic):
        store = new_store()
        store.save(P0, 1, b"x" * 10)
        manifest = b'{"save":"none","chunks":1,"bytes":10,"sha256":"0","first":0}'
        with closing(KafkaProducer(bootstrap_servers=kafka.servers)) as producer:
            producer.send(topic, key=b'["group","default","events",0,2]', value=manifest, partition=0).get(30)
        assert store.offsets(P0) == [2, 1]
        with pytest.raises(CheckpointError, match=r"checkpoint 2 of events-0 is damaged: 0 of 1 chunks"):
            store.load(P0, 2)
        assert store.load(P0, 1) == b"x" * 10

    def test_a_manifest_that_cannot_be_read_is_refused_by_name(self, new_store, send):
        store = new_store()
        store.save(P0, 1, b"x" * 10)
        for name, manifest in ((2, b"?"), (3, b'{"save": 5}'), (4, b"\xff")):
            send(f'["group","default","events",0,{name}]'.encode(), manifest)
        assert store.offsets(P0) == [4, 3, 2, 1]
        for name in (2, 3, 4):
            with pytest.raises(
                CheckpointError, match=rf"checkpoint {name} of events-0 is damaged: its manifest, record"
            ):
                store.load(P0, name)
        store.delete(P0, 3)
        assert new_store().offsets(P0) == [4, 2, 1]

    def test_chunks_that_are_missing_or_changed_are_refused(self, new_store, topic, send, kafka):
        store, data = new_store(), random.Random(0).randbytes(len(LARGE))
        store.save(P0, 1, data)
        tp = TopicPartition(topic, 0)
        with closing(KafkaConsumer(bootstrap_servers=kafka.servers)) as consumer:
            consumer.assign([tp])
            consumer.seek(tp, 0)
            written = []
            while len(written) < 7:
                written += consumer.poll(timeout_ms=500).get(tp, ())
        chunks, manifest = written[:-1], json.loads(written[-1].value)

        def forged(name, values):
            """Write the same manifest again, behind these chunks."""
            offsets = []
            for number, value in enumerate(values):
                key = json.dumps(["group", "default", "events", 0, name, manifest["save"], number])
                offsets.append(send(key.encode(), value))
            said = json.dumps(manifest | {"first": offsets[0]}).encode()
            send(f'["group","default","events",0,{name}]'.encode(), said)

        whole = [chunk.value for chunk in chunks]
        forged(2, whole)
        assert store.load(P0, 2) == data
        forged(3, whole[:-1])
        forged(4, [*whole[:-1], None])
        forged(5, [whole[-1], *whole[1:-1], whole[0]])
        forged(6, [*whole[:-1], whole[-1][:-1]])
        for name, problem in ((3, "5 of 6 chunks"), (4, "5 of 6"), (5, "6 of 6"), (6, "6 of 6 chunks")):
            with pytest.raises(CheckpointError, match=rf"checkpoint {name} of events-0 is damaged: {problem}"):
                store.load(P0, name)

    def test_what_was_replaced_leaves_no_key_alive(self, new_store, kafka, topic):
        store = new_store()
        store.save(P0, 5, LARGE)
        store.save(P0, 5, b"short")
        alive = {}
        tp = TopicPartition(topic, 0)
        with closing(KafkaConsumer(bootstrap_servers=kafka.servers)) as consumer:
            consumer.assign([tp])
            consumer.seek(tp, 0)
            end = consumer.end_offsets([tp])[tp]
            while consumer.position(tp) < end:
                alive |= {r.key: r.value for r in consumer.poll(timeout_ms=500).get(tp, ())}
        assert sum(value is not None for value in alive.values()) == 2

    def test_a_topic_that_is_not_there_is_said(self, kafka, unique):
        with closing(KafkaTopicStore(KafkaSettings(bootstrap_servers=kafka.servers), unique("none"), "m")) as store:
            for call in (store.offsets, lambda p: store.save(p, 1, b"x")):
                with pytest.raises(TopicMissingError, match=r"no topic .* check topics\.checkpoints"):
                    call(P0)

    def test_a_topic_that_was_created_anew_holds_nothing(self, new_store, kafka, topic):
        store = new_store()
        store.save(P0, 1, LARGE)
        with closing(KafkaAdminClient(bootstrap_servers=kafka.servers)) as admin:
            admin.delete_topics([topic])
            for _ in range(100):
                with suppress(TopicAlreadyExistsError):
                    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
                    break
                time.sleep(0.1)
        successor = new_store()
        successor.save(P0, 2, b"x")
        assert successor.offsets(P0) == [2]
        assert store.offsets(P0) == [2]

    def test_foreign_records_in_between_are_passed_over(self, new_store, send):
        store = new_store()
        store.save(P0, 1, b"x")
        real = store._write

        def interrupted(partition, records):
            for key in (b"hello", b"[]", b"5", b"\xff", b'["group","default","events",0,[2]]'):
                send(key, b"?")
            return real(partition, records)

        store._write = interrupted
        store.save(P0, 2, LARGE)
        assert store.load(P0, 2) == LARGE
        assert new_store().load(P0, 2) == LARGE

    def test_foreign_records_are_passed_over(self, new_store, kafka, topic):
        with closing(KafkaProducer(bootstrap_servers=kafka.servers)) as producer:
            for key in (b"hello", b"[]", b"{}", b"5"):
                producer.send(topic, key=key, value=b"?", partition=0).get(30)
        store = new_store()
        store.save(P0, 1, b"x")
        assert new_store().offsets(P0) == [1]

    def test_what_nobody_needs_is_cut_off(self, new_store, kafka, topic):
        mine, yours = new_store("mine"), new_store("yours")
        tp = TopicPartition(topic, 0)
        for name in range(5):
            mine.save(P0, name, LARGE)
        yours.save(P0, 9, LARGE)
        mine.save(P0, 5, LARGE)
        with closing(KafkaConsumer(bootstrap_servers=kafka.servers)) as consumer:
            before = consumer.beginning_offsets([tp])[tp]
            for name in range(5):
                mine.delete(P0, name)
            after = consumer.beginning_offsets([tp])[tp]
        assert before == 0
        assert after > 5 * len(LARGE) // (512 * 1024)
        assert new_store("yours").load(P0, 9) == LARGE
        assert new_store("mine").load(P0, 5) == LARGE

    def test_the_topic_keeps_what_is_old(self, kafka, topic):
        config = kafka.topic_config(topic)
        assert config["retention.ms"] == "-1"
        assert set(config["cleanup.policy"].split(",")) == {"compact", "delete"}
        assert config["message.timestamp.type"] == "LogAppendTime"


def test_a_broker_that_is_away_says_nothing_about_checkpoints(own_kafka_broker, monkeypatch):
    """Or else a service would call a good checkpoint damaged, and stop, because Kafka was away for a moment."""
    servers = own_kafka_broker.bootstrap_servers
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.create_topics([NewTopic("checkpoints", num_partitions=1, replication_factor=1)])
    with closing(KafkaTopicStore(KafkaSettings(bootstrap_servers=servers), "checkpoints", "default")) as store:
        store.save(P0, 1, LARGE)
        own_kafka_broker.kill()
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "_PATIENCE_SECONDS", 1.0)
            for call in (lambda: store.save(P0, 2, LARGE), lambda: store.offsets(P0), lambda: store.load(P0, 1)):
                with pytest.raises(StartOverError):
                    call()
        own_kafka_broker.start()
        store.save(P0, 3, LARGE)
        assert store.offsets(P0) == [3, 1]
        assert store.load(P0, 1) == LARGE


def test_closing_drops_what_a_broker_that_is_away_never_took(own_kafka_broker):
    servers = own_kafka_broker.bootstrap_servers
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.create_topics([NewTopic("predictions", num_partitions=1, replication_factor=1)])
    publisher = KafkaPythonPublisher(KafkaSettings(bootstrap_servers=servers))
    record = Outgoing("predictions", 0, None, b"x", (), 0)
    publisher.send([record])
    publisher.flush()
    own_kafka_broker.kill()
    publisher.send([record])
    writes = publisher._producer._sender
    assert writes.is_alive()
    close_producer(publisher._producer, seconds=0)
    assert not writes.is_alive()
