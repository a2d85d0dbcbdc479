"""`nnstream report` of a real topic: only what lies between two moments, late labels included."""

import re
import time
from datetime import UTC, datetime

import pytest
from harness import nnstream

pytestmark = pytest.mark.integration


def events(name, count, late=()):
    for i in range(count):
        event = {"id": f"{name}-{i}", "features": {"x": (i * 37 % 101) / 50 - 1}, "label": int(i * 37 % 101 > 50)}
        if i in late:
            yield {key: value for key, value in event.items() if key != "label"}
            yield {"id": event["id"], "label": event["label"]}
        else:
            yield event


def tiles(path):
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", path.read_text()))


def test_a_report_of_topics(new_service, tmp_path):
    service = new_service({"model": {"learner": "network"}}).start()
    service.produce(events("first", 300))
    service.wait_committed(300)
    time.sleep(0.05)
    between = datetime.now(UTC)
    time.sleep(0.05)  # on both sides: records have milliseconds
    service.produce([*events("second", 200, late=range(0, 200, 10)), b"no JSON"])
    service.wait_committed(300 + 220 + 1)
    status = service.status()[0]["score"]
    service.stop()

    whole, part = tmp_path / "whole.html", tmp_path / "part.html"
    for path, arguments in ((whole, ()), (part, ("--from", between.isoformat()))):
        done = nnstream("report", service.config, "--out", path, *arguments)
        assert done.returncode == 0, done.stderr
    assert tiles(whole)["events"] == tiles(whole)["with a label"] == "500"
    assert tiles(whole)["accuracy"] == f"{status['accuracy']:.2%}"
    assert tiles(whole)["dead letters"] == "1"
    assert (tiles(part)["events"], tiles(part)["with a label"], tiles(part)["dead letters"]) == ("200", "200", "1")
    assert "not JSON" in part.read_text()

    nothing = nnstream("report", service.config, "--to", "2001-01-01", "--out", tmp_path / "none.html")
    assert nothing.returncode != 0
    assert "holds no prediction" in nothing.stderr
    assert not (tmp_path / "none.html").exists()
