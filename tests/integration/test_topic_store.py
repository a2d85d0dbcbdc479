"""Checkpoints in a Kafka topic, on a real broker: the contract of stores, and what is a topic's own."""

from contextlib import closing

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.consumer import KafkaConsumer
from stores import LARGE, P0, StoreContract

from service.adapters.kafka_python.store import KafkaTopicStore
from service.adapters.kafka_python.topics import KafkaPythonTopics
from service.errors import CheckpointError
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
