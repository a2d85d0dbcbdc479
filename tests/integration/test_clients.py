"""What the service needs of a Kafka client, written once: each client has to keep it, on a real broker."""

import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from service.adapters.kafka_python import committed
from service.errors import StartOverError
from service.positions import Position
from service.records import Outgoing, Partition
from service.settings import KafkaSettings
from service.wiring import client

pytestmark = pytest.mark.integration

CLIENTS = ["kafka-python", "librdkafka"]
PATIENCE_SECONDS = 60
TIMEOUT_MS = 30_000


class Listener:
    """Seeks to where it is told, and notes who comes and goes; commits `leaving` when it hands over."""

    def __init__(self, source, begin=0, leaving=None):
        self.source, self.begin, self.leaving = source, begin, leaving
        self.owned, self.lost_ones = set(), []

    def assigned(self, partitions):
        for partition in partitions:
            self.source.seek(partition, self.begin)
        self.owned |= set(partitions)

    def revoked(self, partitions):
        if self.leaving is not None:
            self.source.commit(dict.fromkeys(partitions, self.leaving))
        self.owned -= set(partitions)

    def lost(self, partitions):
        self.lost_ones += partitions
        self.owned -= set(partitions)


def until(condition, *sources):
    """Poll until the condition holds; return all records by partition."""
    got = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition(got):
        assert time.monotonic() < deadline, f"in vain: {got}"
        for source in sources:
            for partition, records in source.poll(0.1).items():
                got.setdefault(partition, []).extend(records)
    return got


def outgoing(topic, value, key=b"k", partition=0):
    return Outgoing(topic, partition, key, value, (("h", b"1"),), 1_700_000_000_000)


@pytest.fixture(params=CLIENTS)
def clients(request):
    return request.param


@pytest.fixture
def settings(kafka, unique, clients):
    return KafkaSettings(
        bootstrap_servers=kafka.servers, group_id=unique("group"), client=clients, session_timeout_ms=6_000
    )


@pytest.fixture
def topic(kafka, unique):
    kafka.create(unique("events"), partitions=2)
    return unique("events")


@pytest.fixture
def joined(settings, topic):
    """A member of the group that owns both partitions, and its listener."""
    source = client(settings).source(settings)
    listener = Listener(source)
    source.subscribe(topic, listener)
    until(lambda _: len(listener.owned) == 2, source)
    yield source, listener
    source.close()


def test_records_come_in_order_with_all_they_carry(kafka, topic, joined):
    source, _ = joined
    kafka.produce(topic, [b"%d" % i for i in range(1_500)], partition=1, key=b"k", headers=[("h", b"1")])
    kafka.produce(topic, [None], partition=0, key=b"gone")
    got = until(lambda got: sum(map(len, got.values())) == 1_501, source)
    one, [tombstone] = got[Partition(topic, 1)], got[Partition(topic, 0)]
    assert [record.offset for record in one] == list(range(1_500))
    assert [int(record.value) for record in one] == list(range(1_500))
    assert (one[0].key, list(one[0].headers)) == (b"k", [("h", b"1")])
    assert abs(one[0].timestamp - time.time() * 1000) < 600_000
    assert (tombstone.value, tombstone.key, list(tombstone.headers)) == (None, b"gone", [])
    assert source.lag(Partition(topic, 1)) == 0


def test_a_partition_begins_where_the_listener_says_and_goes_where_it_is_sent(kafka, topic, settings):
    kafka.produce(topic, [b"%d" % i for i in range(10)])
    with closing(client(settings).source(settings)) as source:
        source.subscribe(topic, Listener(source, begin=0))
        place = Partition(topic, 0)
        until(lambda got: len(got.get(place, ())) == 10, source)
        source.seek(place, 7)
        assert [record.offset for record in until(lambda got: place in got, source)[place]] == [7, 8, 9]


def test_what_retention_took_is_an_error_and_not_a_jump(kafka, topic, settings):
    kafka.produce(topic, [b"0"])
    with closing(client(settings).source(settings)) as source:
        source.subscribe(topic, Listener(source, begin=1_000))
        with pytest.raises(StartOverError):
            until(lambda _: False, source)


def test_a_commit_carries_the_position_and_both_clients_read_it_the_same(topic, joined, settings):
    source, _ = joined
    place = Partition(topic, 0)
    assert source.committed(place) is None
    wanted = Position(0, 17, "me", source.log_range(place).topic_id, '{"offset": 3}')
    source.commit({place: wanted})
    assert source.committed(place) == wanted
    assert source.last_committed([place]) == {place: wanted}
    for name in CLIENTS:
        other = settings.model_copy(update={"client": name})
        with closing(client(other).source(other)) as reader:
            assert reader.committed(place) == wanted
            assert reader.last_committed([place, Partition(topic, 1)]) == {place: wanted}
            assert reader.partitions(topic) == source.partitions(topic) == [place, Partition(topic, 1)]
            assert reader.log_range(place) == source.log_range(place)


def test_partitions_move_to_a_second_member_and_back(topic, joined, settings):
    first, listener = joined
    listener.leaving = Position(0, 5)
    second = client(settings).source(settings)
    other = Listener(second, leaving=Position(0, 6))
    second.subscribe(topic, other)
    until(lambda _: len(listener.owned) == len(other.owned) == 1, first, second)
    [moved] = other.owned
    assert second.committed(moved) == Position(0, 5)
    second.close()
    until(lambda _: len(listener.owned) == 2, first)
    assert first.committed(moved) == Position(0, 6)
    assert listener.lost_ones == other.lost_ones == []


def test_followed_partitions_come_from_where_they_are_wanted(kafka, topic, joined, unique):
    source, _ = joined
    labels = unique("labels")
    kafka.create(labels)
    kafka.produce(labels, [b"%d" % i for i in range(5)])
    place = Partition(labels, 0)
    for first in (3, 1):  # the second time it is being read already
        source.follow(place, first)
        got = until(lambda got, first=first: len(got.get(place, ())) == 5 - first, source)
        assert [int(record.value) for record in got[place]] == list(range(first, 5))
    source.unfollow(place)
    kafka.produce(labels, [b"5"])
    kafka.produce(topic, [b"event"])
    assert place not in until(lambda got: Partition(topic, 0) in got, source)


def test_at_least_once_everything_sent_is_there_after_the_commit(kafka, topic, joined, settings, unique):
    source, _ = joined
    kafka.create(unique("out"))
    with closing(client(settings).publisher(settings)) as publisher:
        assert publisher.identity is None
        publisher.send([outgoing(unique("out"), b"%d" % i) for i in range(3_000)])
        publisher.commit({Partition(topic, 0): Position(0, 1)}, source)
        found = kafka.read(unique("out"), 3_000)[0]
    assert [int(record.value) for record in found] == list(range(3_000))
    assert (found[0].key, found[0].headers, found[0].timestamp) == (b"k", [("h", b"1")], 1_700_000_000_000)
    assert source.committed(Partition(topic, 0)) == Position(0, 1)


def test_keys_go_to_the_same_partition_with_both_clients(kafka, settings, unique):
    kafka.create(unique("out"), partitions=5)
    with closing(client(settings).publisher(settings)) as publisher:
        publisher.send([outgoing(unique("out"), b"", b"key-%d" % i, None) for i in range(50)])
        publisher.flush()
    kafka.produce(unique("out"), [b"judge"], partition=None, key=b"key-7")
    places = {n: {r.key for r in records} for n, records in kafka.read(unique("out"), 51).items()}
    assert sum(b"key-7" in keys for keys in places.values()) == 1
    assert sum(map(len, places.values())) == 50


def test_a_record_that_is_refused_makes_the_commit_fail(kafka, topic, joined, settings, unique):
    source, _ = joined
    kafka.create(unique("small"), max_message_bytes=1_000)
    with closing(client(settings).publisher(settings)) as publisher:
        publisher.send([outgoing(unique("small"), bytes(100_000))])
        with pytest.raises(Exception, match="acknowledgements"):
            publisher.commit({Partition(topic, 0): Position(0, 1)}, source)
    assert source.committed(Partition(topic, 0)) is None


def test_a_transaction_counts_whole_or_not_at_all(kafka, topic, joined, settings, unique):
    source, _ = joined
    kafka.create(unique("out"))
    place, out = Partition(topic, 0), unique("out")
    with closing(client(settings).transactions(settings, unique("worker"), TIMEOUT_MS)) as publisher:
        assert publisher.identity == unique("worker")
        publisher.send([outgoing(out, b"kept")])
        publisher.commit({place: Position(0, 1, unique("worker"))}, source)
        publisher.send([outgoing(out, b"dropped")])
        publisher.flush()
    with closing(client(settings).transactions(settings, unique("worker"), TIMEOUT_MS)) as publisher:
        publisher.send([outgoing(out, b"later")])
        publisher.commit({place: Position(0, 2)}, source)
    assert [record.value for record in kafka.read(out, 2)[0]] == [b"kept", b"later"]
    assert source.committed(place) == Position(0, 2)


def test_a_commit_that_a_transaction_holds_open_is_named_and_found_once_that_ends(
    kafka, topic, joined, settings, unique, monkeypatch
):
    monkeypatch.setattr(committed, "PATIENCE_SECONDS", 0.5)
    source, _ = joined
    place, wanted = Partition(topic, 0), Position(0, 3)
    source.commit({place: wanted})
    with (
        closing(KafkaConsumer(bootstrap_servers=kafka.servers, group_id=settings.group_id)) as consumer,
        closing(KafkaProducer(bootstrap_servers=kafka.servers, transactional_id=unique("stranger"))) as stranger,
    ):
        stranger.init_transactions()
        stranger.begin_transaction()
        offsets = {TopicPartition(*place): OffsetAndMetadata(9, "", -1)}
        stranger.send_offsets_to_transaction(offsets, consumer.group_metadata())
        with pytest.raises(StartOverError, match=r"a transaction has held it open for .* docs/runbook.md"):
            source.committed(place)
        stranger.abort_transaction()
    assert source.committed(place) == wanted


def test_who_is_fenced_commits_nothing_more(kafka, topic, joined, settings, unique):
    source, _ = joined
    kafka.create(unique("out"))
    place, out = Partition(topic, 0), unique("out")
    made = client(settings)
    with closing(made.transactions(settings, unique("zombie"), TIMEOUT_MS)) as zombie:
        zombie.send([outgoing(out, b"zombie")])
        zombie.flush()
        with closing(made.transactions(settings, unique("heir"), TIMEOUT_MS)) as heir:
            heir.fence(unique("zombie"))
            heir.send([outgoing(out, b"heir")])
            heir.commit({place: Position(0, 2)}, source)
        with pytest.raises(StartOverError):
            zombie.commit({place: Position(0, 1)}, source)
    assert [record.value for record in kafka.read(out, 1)[0]] == [b"heir"]
    assert source.committed(place) == Position(0, 2)


def test_a_broker_that_is_not_there_is_named(clients, monkeypatch):
    monkeypatch.setattr("service.adapters.kafka_python.connection.BOOTSTRAP_MS", 1_000)
    monkeypatch.setattr("service.adapters.librdkafka.source.BOOTSTRAP_SECONDS", 1.0)
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", client=clients)
    with pytest.raises(StartOverError, match=r"127\.0\.0\.1:1"):
        client(settings).source(settings)


@pytest.mark.parametrize("count", [1, 10_000])
def test_who_is_fenced_is_told_so_with_whatever_it_had_not_sent(kafka, settings, unique, count):
    kafka.create(unique("out"))
    made = client(settings)
    with closing(made.transactions(settings, unique("zombie"), TIMEOUT_MS)) as zombie:
        zombie.send([outgoing(unique("out"), b"zombie")])
        zombie.flush()

        def go_on():
            zombie.send([outgoing(unique("out"), b"zombie")] * count)
            zombie.flush()

        with closing(made.transactions(settings, unique("zombie"), TIMEOUT_MS)):
            for _ in range(2):
                with pytest.raises(StartOverError):
                    go_on()


def test_librdkafka_tells_how_it_fares(kafka, topic, unique, monkeypatch):
    monkeypatch.setattr("service.adapters.librdkafka.statistics._EVERY_MS", 100)
    settings = KafkaSettings(bootstrap_servers=kafka.servers, group_id=unique("group"), client="librdkafka")
    said = []
    made = client(settings, said.append)
    kafka.produce(topic, [b"1"] * 10)
    with closing(made.source(settings)) as source, closing(made.publisher(settings)) as publisher:
        source.subscribe(topic, Listener(source))

        def told(_):
            publisher.send([outgoing(topic, b"x")])
            return {each.end for each in said if each.round_trip_seconds > 0} == {"source", "publisher"}

        until(told, source)
    assert all(0 <= each.round_trip_seconds < PATIENCE_SECONDS and each.waiting >= 0 for each in said)
    assert any(each.waiting for each in said)
