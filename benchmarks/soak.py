"""Whether a service at full speed keeps its memory: the slope of its resident memory, after it has warmed up.

One partition of a real Kafka, always filled; everything that a service does by default is on, a tenth of the labels
comes late, a checkpoint is written every 10,000 events. The memory is read from /proc once a second. Neighbouring
seconds have much in common: the interval is that of a line through the means of ten stretches of time.
Bar: the interval reaches down to 20 MB an hour or less.

    python benchmarks/soak.py [--json] [--minutes N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import live
import msgspec
import numpy as np
from kafka import KafkaProducer
from scipy import stats

BAR_MB_PER_HOUR = 20.0
STRETCHES = 10
WARM_UP_SHARE, LONGEST_WARM_UP_SECONDS = 0.3, 120.0
CHUNK = 2_000
MOST_AHEAD = 6_000
LATE = 500  # events after which a late label comes


class Soak(NamedTuple):
    """What was seen after the warm-up.

    Attributes:
        seconds: at which the memory was read.
        bytes: of resident memory, at those times.
        events: predicted in that time.
    """

    seconds: list[float]
    bytes: list[int]
    events: int

    @property
    def slope(self) -> tuple[float, float, float]:
        """Return the growth in MB an hour, and the ends of its 95 % interval."""
        hours, megabytes = (
            [float(np.mean(part)) / unit for part in np.array_split(values, STRETCHES)]
            for values, unit in ((self.seconds, 3600), (self.bytes, 1e6))
        )
        line = stats.linregress(hours, megabytes)
        half = float(stats.t.ppf(0.975, STRETCHES - 2)) * line.stderr
        return float(line.slope), float(line.slope - half), float(line.slope + half)

    @property
    def grown_bytes(self) -> float:
        """Return by how much the memory grew from the first to the last third: two thirds of the events apart."""
        third = len(self.bytes) // 3
        return float(np.median(self.bytes[-third:]) - np.median(self.bytes[:third]))


def resident(pid: int) -> int:
    """Return bytes of resident memory."""
    [line] = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS:")]
    return 1024 * int(line.split()[1])


def samples(count: int) -> list[bytes]:
    """Return events of which a tenth gets its label later, and these labels."""
    values, late = live.events(count), []
    for i in range(0, count, 10):
        event = msgspec.json.decode(values[i])
        late.append(msgspec.json.encode({"id": event["id"], "label": event.pop("label")}))
        values[i] = msgspec.json.encode(event)
    out = []
    for i, value in enumerate(values):
        out.append(value)
        if i >= LATE and i % 10 == 0:
            out.append(late[(i - LATE) // 10])
    return out


def soak(servers: str, directory: Path, minutes: float, show: Callable[[str], None] = lambda _: None) -> Soak:
    """Run a service for so long, and return what it needed after its warm-up."""
    config = live.settings(
        servers, "soak", directory, kafka={"max_batch": 2000}, labels={"second": "correction", "max_pending": 5_000},
        checkpoint={"every_events": 10_000}, http={"enabled": True, "port": 0},
    )  # fmt: skip
    process = live.serve(config)
    try:
        return _watched(process, servers, minutes, show)
    finally:
        process.terminate()
        process.wait(60)


def _watched(process: subprocess.Popen[bytes], servers: str, minutes: float, show: Callable[[str], None]) -> Soak:
    predictions = live.Predictions(servers, "soak-predictions")
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=5, batch_size=2**18)
    values = samples(20_000)
    warm_up = min(LONGEST_WARM_UP_SECONDS, WARM_UP_SHARE * minutes * 60)
    start, sent, at = time.monotonic(), 0, 0
    found, first = Soak([], [], 0), 0
    while (now := time.monotonic() - start) < minutes * 60:
        while sent - predictions.count < MOST_AHEAD:
            for value in values[at : at + CHUNK]:
                producer.send("soak-events", value, partition=0)
            sent += sum(b'"features"' in value for value in values[at : at + CHUNK])
            at = (at + CHUNK) % len(values)
        predictions.wait(sent - MOST_AHEAD + 1)
        if now < warm_up:
            first = predictions.count
        elif not found.seconds or now >= found.seconds[-1] + 1:
            found.seconds.append(now)
            found.bytes.append(resident(process.pid))
            show(f"{now:6.0f} s {found.bytes[-1] / 1e6:8.1f} MB {predictions.count:12,} events")
    producer.close()
    predictions.close()
    return found._replace(events=predictions.count - first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        found = soak(servers, Path(directory), arguments.minutes, lambda text: print(text, file=sys.stderr))
    slope, low, high = found.slope
    result = {
        "mb_per_hour": slope, "interval": [low, high], "bar": BAR_MB_PER_HOUR, "resident_mb": found.bytes[-1] / 1e6,
        "events": found.events, "grown_mb": found.grown_bytes / 1e6,
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{slope:+.1f} MB/h, 95 % interval {low:+.1f} to {high:+.1f} (bar: {BAR_MB_PER_HOUR:+.0f})")
        print(f"{found.bytes[-1] / 1e6:.0f} MB resident after {found.events:,} events since the warm-up")
    return int(low > BAR_MB_PER_HOUR)


if __name__ == "__main__":
    sys.exit(main())
