"""How soon an abrupt drift is told of, on a real Kafka.

    python benchmarks/bench_alert.py [--json FILE] [--rounds N]

A service with default settings is fed 5,000 events a second, labelled; from event 20,000 on the labels are turned
over. Printed are seconds from the 500th drifted event until the alert could be read from its topic, stood in
/metrics, and was sent to the live page; negative: the alert came before the 500th.
"""

import argparse
import json
import math
import re
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx
import live
from kafka import KafkaProducer


def drifting(count: int, first: int) -> list[bytes]:
    """Return the events of benchmarks/live.py, the label turned over from event `first` on."""
    out = live.events(count)
    for i in range(first, count):
        event = json.loads(out[i])
        out[i] = json.dumps(event | {"label": 1 - event["label"]}).encode()
    return out


def rounds_of(rounds: int = 3, rate: int = 5_000, first: int = 20_000) -> list[dict[str, float]]:
    """Return, of each round, seconds from the 500th drifted event until the alert was in each place."""
    table = []
    with live.broker() as servers, tempfile.TemporaryDirectory() as directory:
        for i in range(rounds):
            seen = alert_seen(servers, Path(directory), f"a{i}", rate, first)
            table.append(seen)
            told = ", ".join(f"{where} {seconds:+.2f} s" for where, seconds in seen.items())
            print(f"alert after the 500th drifted event: {told}", flush=True)
    return table


def alert_seen(servers: str, directory: Path, name: str, rate: int, first: int) -> dict[str, float]:
    """Feed a service at `rate` events a second and watch three places for the alert."""
    values, port = drifting(first + 3 * rate, first), free_port()
    config = live.settings(servers, name, directory, http={"enabled": True, "port": port})
    service, url, places = live.serve(config), f"http://127.0.0.1:{port}", ("topic", "/metrics", "page")
    found: dict[str, float] = {}
    try:
        with closing(live.Predictions(servers, f"{name}-predictions")) as predictions:
            live.produce(servers, f"{name}-events", values[:2_000])
            predictions.wait(2_000)
        watchers = [
            threading.Thread(target=watch, args=(found, place, given), daemon=True)
            for place, watch, given in zip(
                places, (watch_topic, watch_metrics, watch_page), ((servers, f"{name}-alerts"), (url,), (url,)),
                strict=True,
            )
        ]  # fmt: skip
        for watcher in watchers:
            watcher.start()
        due = paced(servers, f"{name}-events", values[2_000:], rate, first + 500 - 2_000)
        for watcher in watchers:
            watcher.join(10)
        return {place: found.get(place, math.inf) - due for place in places}
    finally:
        service.terminate()
        service.wait(60)


def paced(servers: str, topic: str, values: Sequence[bytes], rate: int, marked: int) -> float:
    """Send values at an even pace, whatever becomes of them; return when the marked one was sent."""
    producer, start, at = KafkaProducer(bootstrap_servers=servers, linger_ms=2), time.monotonic(), 0.0
    for i, value in enumerate(values):
        while (ahead := start + i / rate - time.monotonic()) > 0:
            time.sleep(min(ahead, 0.002))
        producer.send(topic, value, partition=0)
        at = time.monotonic() if i == marked else at
    producer.flush()
    producer.close()
    return at


def watch_topic(found: dict[str, float], place: str, given: tuple[str, str]) -> None:
    """Note when the first alert can be read as subscribers do."""
    servers, topic = given
    with closing(live.Predictions(servers, topic)) as alerts:
        found[place] = alerts.wait(1, 60)


def watch_metrics(found: dict[str, float], place: str, given: tuple[str]) -> None:
    """Note when the counter of alerts has moved."""
    while place not in found:
        text = httpx.get(f"{given[0]}/metrics").text
        if re.search(r"^nnstream_drift_alerts_total\{.*\} [1-9]", text, re.MULTILINE):
            found[place] = time.monotonic()
        time.sleep(0.02)


def watch_page(found: dict[str, float], place: str, given: tuple[str]) -> None:
    """Note when the page was told."""
    with httpx.stream("GET", f"{given[0]}/live", timeout=60) as told:
        for line in told.iter_lines():
            if line.startswith("data:") and json.loads(line.removeprefix("data:")).get("alerts"):
                found[place] = time.monotonic()
                return


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    table = rounds_of(options.rounds)
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
