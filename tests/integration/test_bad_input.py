"""A bad event never stops the stream and is never dropped silently (D10)."""

import json
import re

import pytest
from harness import assert_same, essence, generated, offsets

from service.events import DEAD_LETTER_HEADER, DeadLetter

pytestmark = pytest.mark.integration

NESTED = b'{"features": {"a": 1}, "extra": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ALWAYS_BAD = [  # name, value, kind of problem, what the reason must say
    ("not JSON", b"hello", "not_json", "not JSON"),
    ("half a JSON object", b'{"features": {"a": 1}', "not_json", "not JSON"),
    ("two JSON objects", b'{"features": {"a": 1}} {"features": {"a": 1}}', "not_json", "not JSON"),
    ("not UTF-8", b'{"features": {"a": "\xff\xfe"}}', "not_utf8", "not UTF-8.* byte 20"),
    ("UTF-16", '{"features": {"a": 1}}'.encode("utf-16"), "not_utf8", "not UTF-8.* byte 0"),
    ("empty", b"", "empty", "empty"),
    ("whitespace", b" \n\t ", "empty", "empty"),
    ("five megabytes", json.dumps({"features": {"a": "x" * 5_000_000}}).encode(), "too_large", "max_event_bytes"),
    ("a list", b"[1, 2]", "invalid", "expected a JSON object, got list"),
    ("a number", b"17", "invalid", "expected a JSON object, got int"),
    ("null", b"null", "invalid", "expected a JSON object, got NoneType"),
    ("no features, no label", b'{"id": 1}', "invalid", "^features: missing"),
    ("a label without an id", b'{"label": 1}', "invalid", "^id: missing"),
    ("features null", b'{"features": null, "label": 1}', "invalid", "^features: expected an object, got null"),
    ("features a list", b'{"features": [1], "label": 1}', "invalid", r"^features: expected an object, got a list"),
    ("features a text", b'{"features": "a", "label": 1}', "invalid", "^features: expected an object, got str"),
    ("id a list", b'{"id": [1], "features": {"a": 1}}', "invalid", "^id: expected"),
    ("ts a text", b'{"ts": "now", "features": {"a": 1}}', "invalid", "^ts: expected a whole number"),
    ("ts of 400 digits", b'{"id": 1, "label": 1, "ts": %s}' % (b"9" * 400), "invalid", "^ts: expected a whole"),
    ("label a list", b'{"features": {"a": 1}, "label": [1]}', "label", r"^label: expected .* got a list \[1\]"),
    ("label an object", b'{"features": {"a": 1}, "label": {"b": 1}}', "label", "^label: expected .* got an object"),
    ("label NaN", b'{"features": {"a": 1}, "label": NaN}', "label", "^label: "),
    ("label 1e999", b'{"features": {"a": 1}, "label": 1e999}', "label", "^label: "),
    ("NaN", b'{"features": {"a": NaN, "b": 1}, "label": 1}', "features", "^features.a: NaN"),
    ("Infinity", b'{"features": {"a": 1, "b": Infinity}, "label": 1}', "features", "^features.b: NaN and Infinity"),
    ("-Infinity", b'{"features": {"b": -Infinity}, "label": 1}', "features", "^features.b: NaN and Infinity"),
    ("1e999", b'{"features": {"c": 1e999}, "label": 1}', "features", "^features.c: NaN and Infinity"),
    ("NaN in a list", b'{"features": {"v": [1, NaN, 3]}, "label": 1}', "features", r"^features\.v"),
    ("deeply nested", NESTED, "not_json", "recursion|depth|nest"),
    ("brackets", b"[" * 100_000, "not_json", "recursion|depth|nest"),
    ("an object", b'{"features": {"a": {"x": 1}}, "label": 1}', "features", "^features.a: expected .* got an object"),
    ("a list of texts", b'{"features": {"v": [1, "x", 3]}}', "features", r"^features\.v\[1\]: expected a number"),
    ("a list of lists", b'{"features": {"v": [[1], [2]]}}', "features", r"^features\.v\[0\]: expected a number"),
    ("text for a number", b'{"features": {"a": "x"}, "label": 1}', "features", "^features.a: expected a number"),
    ("list for a number", b'{"features": {"a": [1]}, "label": 1}', "features", "^features.a: expected a number"),
    ("number for a list", b'{"features": {"v": 1}, "label": 1}', "features", "^features.v: expected a list of 3"),
    ("list of other length", b'{"features": {"v": [1, 2]}}', "features", "^features.v: expected 3 numbers, got 2"),
    ("tombstone", None, "tombstone", "null"),
]  # fmt: skip
FRACTION = ("label 1.5", b'{"features": {"a": 1}, "label": 1.5}', "label", "^label: expected a class .* got 1.5")
NO_NUMBER = [
    ("label a text", b'{"features": {"a": 1}, "label": "x"}', "label", "^label: expected a number, got str 'x'"),
    ("label true", b'{"features": {"a": 1}, "label": true}', "label", "^label: expected a number, got bool True"),
]


def good_events(count):
    events = generated(count, seed=7)
    for i, event in enumerate(events):
        event["features"]["v"] = [i % 3, 0.5, -1.0]
    return events


def interleave(service, bad):
    """Send ten good events, then by turns a bad one and two good ones; return the good ones with their offsets."""
    good = good_events(10 + 2 * len(bad))
    service.produce(good[:10])
    for i, (name, value, _, _) in enumerate(bad):
        headers = [("trace", name.encode()), ("trace", b"\x00\xff")]
        service.produce([value], key=f"key of {name}".encode(), headers=headers)
        service.produce(good[10 + 2 * i : 12 + 2 * i])
    at = [*range(10), *(10 + 3 * i + j for i in range(len(bad)) for j in (1, 2))]
    return good, at


def check_letters(service, bad, letters):
    assert len(letters) == len(bad)
    wrong = []
    for i, ((name, value, problem, reason), letter) in enumerate(zip(bad, letters, strict=True)):
        *original, (header, text) = letter.headers
        why = DeadLetter.model_validate_json(text)
        assert header == DEAD_LETTER_HEADER
        assert original == [("trace", name.encode()), ("trace", b"\x00\xff")]
        assert letter.key == f"key of {name}".encode()
        assert letter.value == value
        assert why.truncated_from_bytes is None
        assert (why.source.topic, why.source.partition, why.source.offset) == (
            service.topics["events"],
            0,
            10 + 3 * i,
        )
        assert why.ts == letter.timestamp
        assert len(why.reason) < 500
        if why.problem != problem or not re.search(reason, why.reason):
            wrong.append(f"{name}: {why.problem}: {why.reason}; expected {problem}: {reason}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("task", "bad"), [
    ("classification", [*ALWAYS_BAD, FRACTION]), ("regression", [*ALWAYS_BAD, *NO_NUMBER]),
], ids=["classification", "regression"])  # fmt: skip
def test_every_kind_of_bad_event_goes_to_the_dead_letters_and_the_stream_goes_on(new_service, kafka, task, bad):
    service = new_service({"model": {"task": task}}).start()
    good, at = interleave(service, bad)
    service.wait_committed(len(good) + len(bad))
    status, metrics = service.status()[0], service.get("/metrics").text
    service.stop()

    predictions = service.predictions(len(good))[0]
    assert service.predicted() == len(good)
    assert_same(offsets(predictions), at)
    assert_same(list(map(essence, predictions)), service.offline(good))

    check_letters(service, bad, kafka.read(service.topics["dead_letters"], len(bad))[0])
    assert (status["offset"], status["dead_letters"]) == (len(good) + len(bad), len(bad))
    for kind in {problem for _, _, problem, _ in bad}:
        count = sum(problem == kind for _, _, problem, _ in bad)
        assert f'nnstream_dead_letters_total{{model="default",partition="0",problem="{kind}"}} {count}.0' in metrics
    assert f'nnstream_predictions_total{{model="default",partition="0"}} {len(good)}.0' in metrics
    assert kafka.committed(service.topics["events"], service.group) == {0: len(good) + len(bad)}


def test_what_only_looks_bad_is_predicted(new_service, kafka):
    service = new_service().start()
    events = good_events(20)
    odd = [
        {"features": {}, "label": 1},
        {"features": {"a": None, "b": None}, "label": 0},
        {"features": {"a": 1.0, "v": [None, 1, 2]}, "label": 1},
        {"features": {"never heard of": "x", "": 1, "ünï 🎉": True}, "label": 0, "unknown": {"deep": [[]]}},
        {"features": {"a": 1e308}, "label": 1},
        {"features": {"a": -(10**30)}, "label": 1},
        {"features": {"a": 1.0}, "label": "a third class"},
    ]
    service.produce([*events, *odd, *events])
    predictions = service.predictions(20 + len(odd) + 20)[0]
    service.stop()
    assert_same(list(map(essence, predictions)), service.offline([*events, *odd, *events]))
    assert kafka.count(service.topics["dead_letters"]) == {0: 0}


def test_a_dead_letter_that_its_topic_would_not_take_is_cut(new_service, kafka):
    service = new_service()
    kafka.create(service.topics["dead_letters"], max_message_bytes=1_000_000)
    service.start()
    value = b"x" * 5_000_000
    service.produce([value, *generated(10)])
    service.wait_committed(11)
    service.stop()
    [letter] = kafka.read(service.topics["dead_letters"], 1)[0]
    why = DeadLetter.model_validate_json(dict(letter.headers)[DEAD_LETTER_HEADER])
    assert (why.problem, why.truncated_from_bytes) == ("too_large", 5_000_000)
    assert value.startswith(letter.value)
    assert len(letter.value) > 0
    assert service.predicted() == 10


def test_bad_events_are_not_repeated_by_a_restart(new_service, kafka):
    settings = {"checkpoint": {"every_events": 10**9, "every_seconds": 1e9}, "kafka": {"session_timeout_ms": 3_000}}
    service = new_service(settings).start()
    bad = ALWAYS_BAD[:3]
    good, at = interleave(service, bad)
    service.wait_committed(len(good) + 3)
    service.kill()  # the only checkpoint is the one at offset 0: everything is replayed
    service.start(ready=False)
    more = good_events(len(good) + 5)[len(good) :]
    service.produce(more)
    service.wait_committed(len(good) + 8)
    service.stop()
    assert kafka.count(service.topics["dead_letters"]) == {0: 3}
    predictions = service.predictions(len(good) + 5)[0]
    assert_same(offsets(predictions), at + list(range(len(good) + 3, len(good) + 8)))
    assert_same(list(map(essence, predictions)), service.offline(good + more))
