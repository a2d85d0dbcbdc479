"""Shared by the integration tests: Kafka from outside, the service as a process, the library as the judge."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
import numpy as np
import yaml
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from nnstream.model import Model
from nnstream.outcome import best
from nnstream.schema import category_text
from service.settings import settings_from
from service.wiring import model_spec

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120  # before a test calls something stuck: never how long it should take


def wait_until(condition, what, check=lambda: None):
    """Return the first true value of `condition`; `check` raises when waiting has become pointless."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        check()
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)


class Raw(NamedTuple):
    """A record as it is to lie in the log, whatever that may be."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012  # nobody changes it


class Kafka:
    """The cluster, as a producer of events and a subscriber to predictions see it."""

    def __init__(self, servers):
        self.servers = servers
        self._producer = KafkaProducer(
            bootstrap_servers=servers, linger_ms=5, batch_size=256 * 1024, max_request_size=16 * 2**20
        )

    def close(self):
        self._producer.close(timeout=30)

    def create(self, topic, partitions=1, **config):
        configs = {name.replace("_", "."): str(value) for name, value in config.items()}
        with closing(KafkaAdminClient(bootstrap_servers=self.servers)) as admin:
            settings = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
            admin.create_topics({topic: settings}, wait_for_metadata=True)

    def configure(self, topic, **config):
        """Change settings of a topic that is there."""
        configs = {name.replace("_", "."): str(value) for name, value in config.items()}
        with closing(KafkaAdminClient(bootstrap_servers=self.servers)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    def produce(self, topic, values, partition=0, key=None, headers=()):
        """Send each value (a Raw, bytes, None, or something to write as JSON), in order."""
        encode = msgspec.json.Encoder().encode
        sent = []
        for value in values:
            raw = value
            if not isinstance(value, Raw):
                raw = Raw(value if value is None or isinstance(value, bytes) else encode(value), key, list(headers))
            sent.append(
                self._producer.send(topic, raw.value, key=raw.key, headers=list(raw.headers), partition=partition)
            )
        self._producer.flush(timeout=PATIENCE_SECONDS)
        for future in sent:
            future.get(timeout=PATIENCE_SECONDS)

    def read(self, topic, count, check=lambda: None):
        """Return the first `count` records that were committed (or a few more), in offset order, by partition."""
        records = defaultdict(list)
        with self._reader(topic, check) as consumer:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while sum(map(len, records.values())) < count:
                check()
                found = sum(map(len, records.values()))
                assert time.monotonic() < deadline, f"{topic} has {found} records, not {count}"
                for tp, batch in consumer.poll(timeout_ms=200, max_records=5000).items():
                    records[tp.partition] += batch
        return dict(records)

    @contextmanager
    def _reader(self, topic, check=lambda: None):
        with closing(
            KafkaConsumer(bootstrap_servers=self.servers, enable_auto_commit=False, isolation_level="read_committed")
        ) as consumer:
            numbers = wait_until(lambda: consumer.partitions_for_topic(topic), f"topic {topic}", check)
            consumer.assign([TopicPartition(topic, number) for number in numbers])
            consumer.seek_to_beginning()
            yield consumer

    def count(self, topic):
        """Return how many records of each partition are committed now: markers of transactions take offsets too."""
        with self._reader(topic) as consumer:
            ends = consumer.end_offsets(list(consumer.assignment()))
            counts = {tp.partition: 0 for tp in ends}
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                for tp, batch in consumer.poll(timeout_ms=200, max_records=5000).items():
                    counts[tp.partition] += sum(record.offset < ends[tp] for record in batch)
        return dict(sorted(counts.items()))

    def end_offsets(self, topic):
        """Return the end of each partition: how many records it ever got, where nobody writes in transactions."""
        with closing(KafkaConsumer(bootstrap_servers=self.servers)) as consumer:
            numbers = consumer.partitions_for_topic(topic) or ()
            ends = consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        return {tp.partition: end for tp, end in ends.items()}

    def committed(self, topic, group):
        """Return the committed offset of each partition."""
        with closing(
            KafkaConsumer(bootstrap_servers=self.servers, group_id=group, enable_auto_commit=False)
        ) as consumer:
            return {
                number: consumer.committed(TopicPartition(topic, number))
                for number in consumer.partitions_for_topic(topic)
            }

    def topic_config(self, topic):
        """Return all settings of a topic, as texts."""
        with closing(KafkaAdminClient(bootstrap_servers=self.servers)) as admin:
            found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {name: each["value"] for name, each in found["topic"][topic].items()}


class Service:
    """One `nnstream serve` process with settings of its own; the log of every start lies beside them.

    Args:
        kafka: the cluster.
        directory: for the settings, the checkpoints and the logs.
        name: what topics and group begin with; workers of one name share them.
        settings: what differs from the defaults.
        worker: tells the workers of one directory apart.
        client: of Kafka.
    """

    def __init__(self, kafka, directory, name, settings=None, worker="service", client="kafka-python"):
        self.kafka = kafka
        self.topics = {kind: f"{name}-{kind}" for kind in ("events", "predictions", "dead_letters", "alerts")}
        self.group = f"{name}-group"
        self.checkpoints = directory / "checkpoints"
        self.data = {
            "topics": self.topics,
            "kafka": {"bootstrap_servers": kafka.servers, "group_id": self.group, "client": client},
            "checkpoint": {"url": str(self.checkpoints)},
            "http": {"port": 0},
        }
        self.config = directory / f"{worker}.yaml"
        self._directory, self._worker = directory, worker
        self.set(settings or {})
        self._process, self._starts, self.url, self.environment, self.options = None, 0, "", {}, ()

    def set(self, settings):
        """Change settings; the next start has them."""
        for section, values in settings.items():
            self.data[section] = self.data.get(section, {}) | values
        self.config.write_text(yaml.safe_dump(self.data))
        self.settings = settings_from(self.data)

    # -- the process

    def launch(self):
        """Start the process; it may be one that is expected to refuse."""
        assert self._process is None, "runs already"
        self._starts += 1
        self.log_path = self._directory / f"{self._worker}-{self._starts}.log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve", self.config, *self.options],
                cwd=ROOT, env=environment() | self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        return self

    def start(self, *, ready=True):
        """Start the process and wait until it listens (and is ready)."""
        return self.launch().wait_started(ready=ready)

    def wait_started(self, *, ready=True):
        found = wait_until(
            lambda: re.search(r'"url": "([^"]+)"', self.log()), "the line of the log with the url", self.check
        )
        self.url = found[1]
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_until(lambda: self.get("/readyz").status_code == 200, "/readyz", self.check)

    def refusal(self):
        """Start the process, wait for its end, and return its exit code and what it said."""
        self.launch()
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        return code, self.log()

    @property
    def pid(self):
        return self._process.pid

    def memory(self, what):
        """Return bytes of the running process's memory: VmRSS now, VmHWM at the most."""
        [line] = [
            each for each in Path(f"/proc/{self.pid}/status").read_text().splitlines() if each.startswith(f"{what}:")
        ]
        return 1024 * int(line.split()[1])

    def signal(self, number):
        """Send the process a signal."""
        self._process.send_signal(number)

    def stop(self, *, quiet=True):
        """Stop in good order; `quiet`, it never said that anything went wrong."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        assert code == 0, self.log()
        assert not quiet or "Traceback" not in self.log(), self.log()

    def kill(self):
        """End the process at once, as a crash would; nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def check(self):
        """Fail when a process that should run has ended."""
        if self._process is not None:
            code = self._process.poll()
            assert code is None, f"the service ended with exit code {code}:\n{self.log()[-5000:]}"

    def log(self):
        return self.log_path.read_text(errors="replace")

    # -- what it does

    def get(self, path):
        return httpx.get(self.url + path, timeout=PATIENCE_SECONDS)

    def post(self, path, body):
        return httpx.post(self.url + path, json=body, timeout=PATIENCE_SECONDS)

    def status(self):
        """Return what /status says of each partition, by number."""
        return {each["partition"]: each for each in self.get("/status").json()["partitions"]}

    def metric(self, name):
        """Return the sum of a metric over all partitions; what is not there has not counted anything yet."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
        return sum(float(line.split()[-1]) for line in lines)

    def produce(self, values, partition=0, **options):
        self.kafka.produce(self.topics["events"], values, partition, **options)

    def predictions(self, count):
        """Return the decoded predictions by partition once there are `count`."""
        return decoded(self.kafka.read(self.topics["predictions"], count, self.check))

    def predicted(self):
        """Return how many predictions there are now."""
        return sum(self.kafka.count(self.topics["predictions"]).values())

    def wait_committed(self, count):
        """Wait until `count` events in all are committed: then their predictions are durable too."""

        def committed():
            offsets = self.kafka.committed(self.topics["events"], self.group)
            return sum(offset or 0 for offset in offsets.values()) >= count

        wait_until(committed, f"{count} events committed", self.check)

    def wait_learned(self, count):
        """Wait until so many samples are learned in all."""
        wait_until(
            lambda: sum(each["model_version"] for each in self.status().values()) >= count,
            f"{count} samples learned", self.check,
        )  # fmt: skip

    def checkpoint_topic(self):
        """Return the setting that gives this stream a topic for checkpoints of its own."""
        return {"checkpoints": f"{self.group}-checkpoints"}

    def checkpoint_files(self):
        """Return the checkpoints of all partitions, newest first within each."""
        return sorted(self.checkpoints.rglob("*.safetensors"), reverse=True)

    def offline(self, events, block=977):
        """Return what the library by itself predicts for these events: bodies without id, ts and source."""
        model = Model(model_spec(self.settings.model))
        out = []
        for start in range(0, len(events), block):
            out += expected(model, events[start : start + block])
        return out


def environment():
    """Return the environment of a service that is told everything by its file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NNSTREAM_")}


def nnstream(*arguments, timeout=PATIENCE_SECONDS):
    """Run a command of the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=timeout,
    )  # fmt: skip


def question(event):
    """An event as it is sent before its label is known."""
    return {name: value for name, value in event.items() if name != "label"}


def answer(event):
    """The late label of an event."""
    return {"id": event["id"], "label": event["label"]}


def decoded(records):
    return {number: [json.loads(record.value) for record in each] for number, each in records.items()}


def expected(model, events):
    """Feed a block to the library and return what should be published about each event."""
    labels = [event.get("label") for event in events]
    outcome = model.predict_then_learn([event["features"] for event in events], labels)
    assert not outcome.refused
    out = [None] * len(events)
    for segment in outcome.segments:
        for i, prediction, outputs in zip(segment.rows, best(segment), segment.outputs.tolist(), strict=True):
            body = {"prediction": prediction, "version": int(outcome.versions[i])}
            if segment.classes:
                body["probabilities"] = dict(zip(map(category_text, segment.classes), outputs, strict=True))
            if labels[i] is not None:
                body["label"] = labels[i]
                if not np.isnan(outcome.losses[i]):
                    body["loss"] = float(outcome.losses[i])
            out[i] = body
    return out


def essence(prediction):
    """Return of a published prediction what the library decides."""
    body = {name: value for name, value in prediction.items() if name not in ("id", "ts", "source", "model")}
    return body | {"version": prediction["model"]["version"]}


def offsets(predictions):
    return [prediction["source"]["offset"] for prediction in predictions]


def generated(count, seed=0, start=0):
    """Return a cheap stream: three numbers, a category now and then missing, and a noisy rule."""
    rng = np.random.default_rng(seed)
    draws = rng.random((start + count, 4))  # row by row: a longer stream begins like a shorter one
    X, noise = (4 * draws[:, :3] - 2).round(4), draws[:, 3]
    return [
        {
            "id": i,
            "ts": 1_700_000_000_000 + i,
            "features": {"a": a, "b": b, "c": c if draw > 0.05 else None},
            "label": int(a - 2 * b + a * c + draw > 0.5),
        }
        for i, ((a, b, c), draw) in enumerate(zip(X.tolist(), noise.tolist(), strict=True))
    ][start:]


def assert_same(found, wanted):
    """Compare long lists, and show the first difference only: pytest would compare them for minutes."""
    first = next((i for i, (mine, yours) in enumerate(zip(found, wanted, strict=False)) if mine != yours), None)
    if first is not None:
        raise AssertionError(f"element {first} is\n  {found[first]}, but should be\n  {wanted[first]}")
    sizes = len(found), len(wanted)
    assert sizes[0] == sizes[1]
