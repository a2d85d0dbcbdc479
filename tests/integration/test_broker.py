"""The real broker does what the service leans on: groups, metadata in commits, transactions, durability."""

import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

pytestmark = pytest.mark.integration


def create_topic(servers, name, partitions=1):
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}}, wait_for_metadata=True)


def poll_records(consumer, count, timeout_seconds=30):
    records = []
    deadline = time.monotonic() + timeout_seconds
    while len(records) < count and time.monotonic() < deadline:
        for batch in consumer.poll(timeout_ms=200).values():
            records += batch
    return records


def reader(servers, topic, isolation_level="read_uncommitted"):
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level=isolation_level)
    consumer.assign([TopicPartition(topic, 0)])
    return closing(consumer)


def test_a_group_reads_every_partition(kafka_bootstrap_servers, unique):
    topic = unique("events")
    create_topic(kafka_bootstrap_servers, topic, partitions=3)
    with closing(KafkaProducer(bootstrap_servers=kafka_bootstrap_servers)) as producer:
        for number in range(30):
            producer.send(topic, key=b"k", value=b"%d" % number, partition=number % 3, headers=[("h", b"1")])
        producer.flush(timeout=30)
    with closing(
        KafkaConsumer(
            topic,
            bootstrap_servers=kafka_bootstrap_servers,
            group_id=unique("group"),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
    ) as consumer:
        records = poll_records(consumer, 30)
        assert consumer.assignment() == {TopicPartition(topic, partition) for partition in range(3)}
    assert sorted(int(record.value) for record in records) == list(range(30))
    for partition in range(3):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(10))
    assert records[0].headers == [("h", b"1")]


def test_commit_metadata_is_read_back(kafka_bootstrap_servers, unique):
    topic = unique("events")
    create_topic(kafka_bootstrap_servers, topic)
    partition = TopicPartition(topic, 0)
    settings = {
        "bootstrap_servers": kafka_bootstrap_servers,
        "group_id": unique("group"),
        "enable_auto_commit": False,
    }
    with closing(KafkaConsumer(**settings)) as consumer:
        consumer.assign([partition])
        assert consumer.committed(partition) is None
        consumer.commit({partition: OffsetAndMetadata(7, "checkpoint=3", -1)})
    with closing(KafkaConsumer(**settings)) as consumer:
        committed = consumer.committed(partition, metadata=True)
    assert (committed.offset, committed.metadata) == (7, "checkpoint=3")


def test_read_committed_hides_an_aborted_transaction(kafka_bootstrap_servers, unique):
    topic = unique("predictions")
    create_topic(kafka_bootstrap_servers, topic)
    with closing(
        KafkaProducer(bootstrap_servers=kafka_bootstrap_servers, transactional_id=unique("producer"))
    ) as producer:
        producer.init_transactions()
        for value, finish in [
            (b"aborted", producer.abort_transaction),
            (b"committed", producer.commit_transaction),
        ]:
            producer.begin_transaction()
            producer.send(topic, value).get(timeout=30)
            finish()
    with reader(kafka_bootstrap_servers, topic, "read_committed") as consumer:
        assert [record.value for record in poll_records(consumer, 1)] == [b"committed"]
        assert poll_records(consumer, 1, timeout_seconds=0.5) == []
    with reader(kafka_bootstrap_servers, topic) as consumer:
        assert [record.value for record in poll_records(consumer, 2)] == [b"aborted", b"committed"]


def test_input_offset_commits_with_the_output_or_not_at_all(kafka_bootstrap_servers, unique):
    events, predictions, group = unique("events"), unique("predictions"), unique("group")
    create_topic(kafka_bootstrap_servers, events)
    create_topic(kafka_bootstrap_servers, predictions)
    partition = TopicPartition(events, 0)
    with closing(KafkaProducer(bootstrap_servers=kafka_bootstrap_servers)) as producer:
        producer.send(events, b"event").get(timeout=30)
    with (
        closing(
            KafkaProducer(bootstrap_servers=kafka_bootstrap_servers, transactional_id=unique("producer"))
        ) as producer,
        closing(
            KafkaConsumer(
                events,
                bootstrap_servers=kafka_bootstrap_servers,
                group_id=group,
                group_instance_id="worker-0",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                isolation_level="read_committed",
                session_timeout_ms=6_000,
                heartbeat_interval_ms=500,
            )
        ) as consumer,
    ):
        assert len(poll_records(consumer, 1)) == 1
        producer.init_transactions()

        producer.begin_transaction()
        producer.send(predictions, b"aborted")
        producer.send_offsets_to_transaction(
            {partition: OffsetAndMetadata(1, "aborted", -1)}, consumer.group_metadata()
        )
        producer.abort_transaction()
        assert consumer.committed(partition) is None

        producer.begin_transaction()
        producer.send(predictions, b"committed")
        producer.send_offsets_to_transaction(
            {partition: OffsetAndMetadata(1, "checkpoint=3", -1)}, consumer.group_metadata()
        )
        producer.commit_transaction()
        assert consumer.committed(partition, metadata=True)[:2] == (1, "checkpoint=3")
    with reader(kafka_bootstrap_servers, predictions, "read_committed") as consumer:
        assert [record.value for record in poll_records(consumer, 1)] == [b"committed"]


def test_a_record_of_five_megabytes_passes(kafka_bootstrap_servers, unique):
    topic = unique("checkpoints")
    create_topic(kafka_bootstrap_servers, topic)
    value = bytes(5_000_000)
    with closing(KafkaProducer(bootstrap_servers=kafka_bootstrap_servers, max_request_size=8_000_000)) as producer:
        producer.send(topic, value).get(timeout=30)
    with reader(kafka_bootstrap_servers, topic) as consumer:
        [record] = poll_records(consumer, 1)
    assert record.value == value


def test_a_killed_broker_comes_back_with_what_it_acknowledged(own_kafka_broker):
    servers = own_kafka_broker.bootstrap_servers
    create_topic(servers, "events")
    partition = TopicPartition("events", 0)
    with closing(KafkaProducer(bootstrap_servers=servers, acks="all")) as producer:
        for future in [producer.send("events", b"%d" % number) for number in range(1000)]:
            future.get(timeout=30)
        with closing(
            KafkaConsumer(bootstrap_servers=servers, group_id="group", enable_auto_commit=False)
        ) as consumer:
            consumer.commit({partition: OffsetAndMetadata(500, "checkpoint=3", -1)})

        own_kafka_broker.kill()
        assert not own_kafka_broker.is_running
        own_kafka_broker.start()
        assert own_kafka_broker.bootstrap_servers == servers

        producer.send("events", b"1000").get(timeout=30)  # a client that lived through it goes on
    with reader(servers, "events") as consumer:
        assert [int(record.value) for record in poll_records(consumer, 1001)] == list(range(1001))
    with closing(KafkaConsumer(bootstrap_servers=servers, group_id="group")) as consumer:
        assert consumer.committed(partition, metadata=True)[:2] == (500, "checkpoint=3")


def test_a_broker_that_cannot_start_says_why(own_kafka_broker, kafka_broker_module, tmp_path):
    taken = int(own_kafka_broker.bootstrap_servers.rpartition(":")[2])
    second = kafka_broker_module.KafkaBroker(tmp_path / "second", port=taken)
    with pytest.raises(kafka_broker_module.KafkaBrokerError, match="Address already in use"):
        second.start()
    assert not second.is_running
    with pytest.raises(kafka_broker_module.KafkaBrokerError, match="runs already"):
        own_kafka_broker.start()
