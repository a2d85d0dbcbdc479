"""`nnstream checkpoint`, on what a real service left in a topic and in a directory."""

import json

import pytest
from harness import assert_same, essence, generated, nnstream

pytestmark = pytest.mark.integration

COUNT = 3_000


@pytest.fixture(params=["topic", "directory"])
def stopped(request, new_service):
    """A service that learned 3,000 events, leaving a checkpoint at each thousand."""
    service = new_service({"checkpoint": {"every_events": 1_000, "keep": 5}})
    if request.param == "topic":
        service.set({"checkpoint": {"url": None}, "topics": {"checkpoints": f"{service.group}-checkpoints"}})
    events = generated(COUNT, seed=8)
    service.start()
    for done in range(1_000, COUNT + 1, 1_000):
        service.produce(events[done - 1_000 : done])
        service.wait_committed(done)
    service.stop()
    service.events = events
    return service


def rows(service, command, *options):
    result = nnstream("checkpoint", command, service.config, "--json", *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_list_show_verify_export_and_restore(stopped, tmp_path):
    listed = rows(stopped, "list")
    assert listed[0]["checkpoint"] == COUNT
    assert [row["committed"] for row in listed] == [True] + [False] * (len(listed) - 1)
    assert all(row["bytes"] > 1_000 for row in listed)
    assert rows(stopped, "verify") == [
        {"partition": 0, "checkpoint": row["checkpoint"], "problem": None} for row in listed
    ]

    shown = rows(stopped, "show")
    assert shown["samples_learned"] == shown["next_event"] == COUNT
    assert shown["classes"] in ([0, 1], [1, 0])
    older = next(row["checkpoint"] for row in listed if 0 < row["checkpoint"] < COUNT)
    assert rows(stopped, "show", "--checkpoint", older)["samples_learned"] == older

    result = nnstream("export", stopped.config, "--out", tmp_path / "model.onnx", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["samples"] == COUNT
    assert b"nnstream.samples_learned" in (tmp_path / "model.onnx").read_bytes()

    file = tmp_path / "kept.safetensors"
    assert nnstream("checkpoint", "export", stopped.config, file, "--checkpoint", older).returncode == 0
    result = nnstream("checkpoint", "restore", stopped.config, file)
    assert result.returncode == 0, result.stderr
    assert f"{COUNT - older:,} events will be predicted again" in result.stderr

    stopped.start()
    again = stopped.predictions(COUNT + COUNT - older)[0]
    assert_same(list(map(essence, again[COUNT:])), list(map(essence, again[older:COUNT])))
    refused = nnstream("checkpoint", "restore", stopped.config, file)
    assert refused.returncode == 3
    assert "1 live members; stop them first" in refused.stderr
    stopped.stop()


def test_what_cannot_be_used_is_said(stopped, tmp_path):
    missing = nnstream("checkpoint", "show", stopped.config, "--checkpoint", 17)
    assert missing.returncode == 4
    assert "there is no checkpoint 17" in missing.stderr
    assert nnstream("checkpoint", "list", stopped.config, "--partition", 5).returncode == 2
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"?")
    assert "not a whole nnstream snapshot" in nnstream("checkpoint", "restore", stopped.config, damaged).stderr

    stopped.set({"model": {"name": "default", "task": "regression"}})
    result = nnstream("checkpoint", "verify", stopped.config, "--json")
    assert result.returncode == 4
    assert all("configured differently" in row["problem"] for row in json.loads(result.stdout))
    assert "the service would refuse to start" in result.stderr
