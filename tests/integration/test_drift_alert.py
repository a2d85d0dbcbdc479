"""An abrupt drift on a real Kafka: the alert is on its topic, in /metrics, and told to the page."""

import json
import re

import httpx
import numpy as np
import pytest
from harness import Service, wait_until

pytestmark = pytest.mark.integration

FIRST, AFTER = 6000, 1500


def stream():
    """Events whose labels are turned over from event FIRST on."""
    rng = np.random.default_rng(0)
    for i, (a, b) in enumerate(rng.normal(size=(FIRST + AFTER, 2)).round(4).tolist()):
        yield {"id": f"e-{i}", "features": {"a": a, "b": b}, "label": int((a + b > 0) == (i < FIRST))}


def told_to_the_page(url, wanted):
    """Read the page's events until one of this kind is as wanted."""
    with httpx.stream("GET", f"{url}/live", timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and wanted(json.loads(line.removeprefix("data:"))):
                return True
    return False


def test_an_abrupt_drift_is_told_everywhere_within_500_events(kafka, compiled, tmp_path):
    service = Service(kafka, tmp_path, tmp_path.name).start()
    try:
        service.produce(stream())
        service.wait_learned(FIRST + AFTER)
        (alerts,) = kafka.read(service.topics["alerts"], 1, service.check).values()
        alert = json.loads(alerts[0].value)
        assert len(alerts) == 1
        assert alert["signal"] in ("loss", "error")
        assert alert["after"] > 3 * alert["before"]
        assert FIRST <= alert["source"]["offset"] <= FIRST + 500
        counted = rf'^nnstream_drift_alerts_total{{.*signal="{alert["signal"]}"}} 1.0$'
        wait_until(
            lambda: re.search(counted, service.get("/metrics").text, re.MULTILINE), "the metric", service.check
        )
        assert told_to_the_page(
            service.url, lambda told: any(each["signal"] == alert["signal"] for each in told.get("alerts", ()))
        )
    finally:
        service.kill()
