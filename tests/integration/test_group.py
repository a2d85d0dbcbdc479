"""Membership of the consumer group, whatever the rhythm of the polls."""

import time
from contextlib import closing

import pytest
from harness import wait_until
from kafka import KafkaAdminClient

from service.adapters.kafka_python.source import KafkaPythonSource
from service.positions import Position
from service.records import Partition
from service.settings import KafkaSettings

pytestmark = pytest.mark.integration

SESSION_SECONDS = 3.0


class Listener:
    """Notes what it owns, and what was taken from it."""

    def __init__(self, source):
        self.source, self.owned, self.taken = source, set(), []

    def assigned(self, partitions):
        self.owned |= set(partitions)
        for partition in partitions:
            self.source.seek(partition, 0)

    def revoked(self, partitions):
        self.taken += partitions

    lost = revoked


def test_a_poll_that_ends_while_the_group_is_shared_out_costs_no_membership(kafka, unique):
    topic = group = unique("group")
    kafka.create(topic)
    settings = KafkaSettings(
        bootstrap_servers=kafka.servers, group_id=group, session_timeout_ms=int(SESSION_SECONDS * 1000)
    )
    source = KafkaPythonSource(settings)
    listener = Listener(source)
    source.subscribe(topic, listener)

    def owns(count):
        wait_until(lambda: source.poll(0.1) is not None and len(listener.owned) == count, f"{count} partitions")

    owns(1)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.servers)) as admin:
        admin.create_partitions({topic: 2})
        coordinator = source._consumer._coordinator
        source._consumer._cluster.request_update()
        wait_until(coordinator.need_rejoin, "the client sees the second partition")
        source.poll(0.0)  # begins to join anew, and does not wait
        time.sleep(0.5)  # it joins meanwhile
        end = time.monotonic() + 1.5 * SESSION_SECONDS
        while time.monotonic() < end:
            source.poll(0.1)
        members = [each["member_id"] for each in admin.describe_groups([group])[group]["members"]]
    owned, taken, member = set(listener.owned), list(listener.taken), source.membership.member_id
    source.close()
    assert owned == {Partition(topic, 0), Partition(topic, 1)}
    assert taken == []
    assert members == [member]


class Committer(Listener):
    """Commits what it hands over."""

    def revoked(self, partitions):
        super().revoked(partitions)
        self.source.commit({partition: Position(1, None) for partition in partitions})


def test_who_leaves_while_the_group_is_shared_out_leaves_in_good_order(kafka, unique):
    topic = group = unique("group")
    kafka.create(topic)
    kafka.produce(topic, [b"{}"])
    source = KafkaPythonSource(KafkaSettings(bootstrap_servers=kafka.servers, group_id=group))
    listener = Committer(source)
    source.subscribe(topic, listener)
    wait_until(lambda: source.poll(0.1) is not None and listener.owned, "a partition")
    source._consumer._coordinator.request_rejoin()
    source.poll(0.0)  # begins to join anew, and does not wait
    source.close()
    assert listener.taken == [Partition(topic, 0)]
    assert kafka.committed(topic, group) == {0: None}


def test_partitions_that_come_and_go_within_one_poll_are_not_taken_over(kafka, unique):
    topic = group = unique("group")
    kafka.create(topic)
    source = KafkaPythonSource(KafkaSettings(bootstrap_servers=kafka.servers, group_id=group))
    listener = Listener(source)
    source.subscribe(topic, listener)
    wait_until(lambda: source.poll(0.1) is not None and listener.owned, "a partition")
    listener.owned.clear()
    source.pause_until_restored([Partition(topic, 0)])  # as the client's thread does
    with pytest.raises(StopIteration):
        source.hand_over([Partition(topic, 0)]).send(None)
    source.poll(0.1)
    source.close()
    assert listener.owned == set()
