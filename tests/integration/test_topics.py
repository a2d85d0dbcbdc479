"""Topics are created or refused before the first event; the command line says what is wrong and how it ended."""

import json
import socket

import pytest
from harness import generated, nnstream

pytestmark = pytest.mark.integration


def test_missing_topics_are_created_as_the_settings_say(new_service, kafka):
    service = new_service({"topics": {"partitions": 3, "retention_hours": 2.5}}).start()
    service.stop()
    partitions = {kind: len(kafka.end_offsets(topic)) for kind, topic in service.topics.items()}
    assert partitions == {"events": 3, "predictions": 3, "dead_letters": 1, "alerts": 1}
    for topic in service.topics.values():
        assert retention(kafka, topic) == "9000000"


def retention(kafka, topic):
    return kafka.topic_config(topic)["retention.ms"]


def test_topics_that_exist_stay_as_they_are(new_service, kafka):
    service = new_service({"topics": {"partitions": 3, "retention_hours": 2.5}})
    kafka.create(service.topics["events"], 2, retention_ms=86_400_000)
    service.start()
    service.stop()
    assert retention(kafka, service.topics["events"]) == "86400000"
    assert len(kafka.end_offsets(service.topics["events"])) == 2
    assert len(kafka.end_offsets(service.topics["predictions"])) == 2  # as many as the events have


def test_topics_that_must_not_be_created_are_named(new_service, kafka):
    service = new_service({"topics": {"create": False}})
    kafka.create(service.topics["events"])
    kafka.create(service.topics["alerts"])
    code, said = service.refusal()
    assert code == 3, said
    assert "Traceback" not in said
    for kind in ("predictions", "dead_letters"):
        assert service.topics[kind] in said
        assert not kafka.end_offsets(service.topics[kind])
    for kind in ("events", "alerts"):
        assert service.topics[kind] not in said
    assert "topics.create" in said


def test_too_few_partitions_for_the_predictions_are_refused(new_service, kafka):
    service = new_service()
    kafka.create(service.topics["events"], 3)
    kafka.create(service.topics["predictions"], 2)
    code, said = service.refusal()
    assert code == 3, said
    assert f"{service.topics['predictions']} has 2 partitions" in said
    assert f"{service.topics['events']} has 3" in said
    assert "Traceback" not in said


def test_a_broker_that_cannot_be_reached_is_named(new_service):
    with socket.socket() as taken:  # bound but not listening: connections are refused, and nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        service = new_service({"kafka": {"bootstrap_servers": address}})
        code, said = service.refusal()
    assert code == 3, said
    assert address in said
    assert "kafka.bootstrap_servers" in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_named(new_service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = new_service({"http": {"port": port}})
        code, said = service.refusal()
    assert code == 2, said
    assert str(port) in said
    assert "http.port" in said
    assert "Traceback" not in said


def test_produce_and_tail_on_the_command_line(new_service, kafka, tmp_path):
    service = new_service()
    csv = tmp_path / "events.csv"
    rows = [(event["features"]["a"], event["features"]["b"], event["label"]) for event in generated(25)]
    csv.write_text("\n".join(["a,b,label", *(",".join(map(str, row)) for row in rows)]))
    sent = nnstream("produce", service.config, "--csv", csv, "--label", "label")
    assert sent.returncode == 0, sent.stderr
    assert "25 events sent" in sent.stderr
    assert sent.stdout == ""
    events = [json.loads(record.value) for record in kafka.read(service.topics["events"], 25)[0]]
    assert [(e["features"]["a"], e["features"]["b"], e["label"]) for e in events] == rows

    sent = nnstream("produce", service.config, "--dataset", "phishing", "--limit", "75")
    assert sent.returncode == 0, sent.stderr
    assert kafka.end_offsets(service.topics["events"]) == {0: 100}

    service.start()
    tailed = nnstream("tail", service.config, "--json", "--limit", "60", "--from-start")
    assert tailed.returncode == 0, tailed.stderr
    assert tailed.stderr == ""
    assert [json.loads(line) for line in tailed.stdout.splitlines()] == service.predictions(100)[0][:60]
    service.stop()


@pytest.mark.parametrize(("arguments", "says"), [
    (("--dataset", "shuttel"), "shuttle"),
    (("--csv", "no-such-file.csv", "--label", "x"), "no-such-file.csv"),
    (("--csv", "no-such-file.csv"), "--label"),
    ((), "--dataset"),
])  # fmt: skip
def test_produce_refuses_what_it_cannot_send(new_service, kafka, arguments, says):
    service = new_service()
    done = nnstream("produce", service.config, *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_produce_refuses_a_column_that_is_not_there(new_service, tmp_path):
    csv = tmp_path / "events.csv"
    csv.write_text("a,b\n1,2\n")
    done = nnstream("produce", new_service().config, "--csv", csv, "--label", "c")
    assert done.returncode == 2, done.stderr
    assert "no column c" in done.stderr


def test_tail_of_a_topic_that_is_not_there(new_service):
    service = new_service()
    done = nnstream("tail", service.config, "--json", "--limit", "1")
    assert done.returncode == 3, done.stderr
    assert service.topics["predictions"] in done.stderr
    assert "Traceback" not in done.stderr


def test_check_tells_without_a_broker_whether_the_settings_can_be_used(new_service):
    service = new_service({"kafka": {"bootstrap_servers": "127.0.0.1:1"}})
    done = nnstream("serve", "--check", service.config)
    assert done.returncode == 0, done.stderr
    assert service.topics["events"] in done.stdout

    text = service.config.read_text().replace("bootstrap_servers", "bootstrap_server")
    service.config.write_text(text)
    done = nnstream("serve", "--check", service.config)
    assert done.returncode == 2, done.stderr
    assert "kafka.bootstrap_server" in done.stderr
    assert "did you mean bootstrap_servers?" in done.stderr
