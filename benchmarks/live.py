"""A service on a real Kafka for the benchmarks: started, fed, timed from outside."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

ROOT = Path(__file__).parents[1]


@contextmanager
def broker() -> Iterator[str]:
    """Run Apache Kafka; yield its address."""
    spec = importlib.util.spec_from_file_location("kafka_broker", ROOT / "deploy" / "kafka" / "broker.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("deploy/kafka/broker.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with (
        tempfile.TemporaryDirectory() as directory,
        module.KafkaBroker(Path(directory) / "kafka", jvm_flags=module.AS_KAFKA_STARTS) as running,
    ):
        yield running.bootstrap_servers


def events(count: int, seed: int = 0, *, labelled: bool = True) -> list[bytes]:
    """Return JSON events of 250 bytes: 8 features, 2 classes."""
    X = np.random.default_rng(seed).normal(size=(count, 8)).round(6)
    encode = msgspec.json.Encoder().encode
    return [
        encode(
            {
                "id": f"e-{seed}-{i:07d}",
                "features": {f"feature_{k}": value for k, value in enumerate(row)},
            }
            | ({"label": int(row[0] + row[1] * row[2] > 0)} if labelled else {})
        )
        for i, row in enumerate(X.tolist())
    ]


def produce(servers: str, topic: str, values: list[bytes]) -> None:
    """Send values to the only partition of a topic."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=5, batch_size=2**18)
    for value in values:
        producer.send(topic, value, partition=0)
    producer.flush()
    producer.close()


def settings(servers: str, name: str, directory: Path, **sections: Any) -> Path:
    """Write the settings of a service; return their path."""
    data: dict[str, Any] = {
        "topics": {
            kind: f"{name}-{kind}" for kind in ("events", "predictions", "dead_letters", "alerts", "checkpoints")
        },
        "kafka": {"bootstrap_servers": servers, "group_id": name},
        "http": {"enabled": False},
        "log": {"level": "warning"},
    }
    for section, values in sections.items():
        data[section] = data.get(section, {}) | values
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def serve(config: Path) -> subprocess.Popen[bytes]:
    """Start a service."""
    return subprocess.Popen([sys.executable, "-m", "service", "serve", str(config)], cwd=ROOT)


class Predictions:
    """The predictions topic, read as subscribers do.

    Args:
        servers: of Kafka.
        topic: of the predictions.
    """

    def __init__(self, servers: str, topic: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed",
            fetch_max_wait_ms=10, max_partition_fetch_bytes=2**23,
        )  # fmt: skip
        while not self._consumer.partitions_for_topic(topic):
            time.sleep(0.05)
        self._consumer.assign([TopicPartition(topic, 0)])
        self._consumer.seek_to_beginning()
        self.count = 0

    def wait(self, count: int, patience_seconds: float = 300.0) -> float:
        """Return the time at which so many have been read."""
        deadline = time.monotonic() + patience_seconds
        while self.count < count:
            for records in self._consumer.poll(timeout_ms=100, max_records=5000).values():
                self.count += len(records)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count} of {count} predictions after {patience_seconds:.0f} s")
        return time.monotonic()

    def close(self) -> None:
        """Drop the connection."""
        self._consumer.close()
