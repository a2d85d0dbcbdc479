"""Bytes to events: whatever comes in is one thing or the other, and what is refused says why."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rig import P0, Rig, make_settings

from nnstream.model import Model, ModelSpec
from service.decode import decode
from service.events import Event, LateLabel
from service.formats.json_object import JsonFormat
from service.testing import MemoryLog, MemoryRecord

LIMIT = 100_000
CHECKS = {task: Model(ModelSpec(task=task)).check_label for task in ("classification", "regression")}


def decoded(*values, task="classification", limit=LIMIT):
    records = [MemoryRecord(i, 1000 + i, None, value, ()) for i, value in enumerate(values)]
    return decode(records, "events/3", limit, CHECKS[task], JsonFormat())


def public(value):
    """The event or late label that the public records see in a value; None where it is neither."""
    for kind in (Event, LateLabel):
        try:
            return kind.model_validate_json(value)
        except ValidationError as error:
            if not any(each["type"] == "missing" and each["loc"] == ("features",) for each in error.errors()):
                return None
    return None


def is_late_label(value):
    return value is not None and isinstance(public(value), LateLabel)


def event(**fields):
    return json.dumps({"features": {}} | fields).encode()


BAD = {
    "tombstone": (None, "tombstone", ["the value is null"]),
    "empty": (b"", "empty", ["the value is empty"]),
    "blank": (b" \n", "empty", ["the value is empty"]),
    "too large": (b"x" * (LIMIT + 1), "too_large", [f"{LIMIT + 1} bytes", "delivery.max_event_bytes", str(LIMIT)]),
    "not UTF-8": (b'{"features": {"\xff": 1}}', "not_utf8", ["not UTF-8", "byte 15"]),
    "not UTF-8 in an ignored field": (b'{"features": {}, "x": "\xff"}', "not_utf8", ["not UTF-8", "byte 23"]),
    "UTF-16": ('{"features": {}}'.encode("utf-16"), "not_utf8", ["byte 0"]),
    "not JSON": (b"hello", "not_json", ["not JSON"]),
    "cut off": (b'{"features": {"a": 1', "not_json", ["not JSON"]),
    "two values": (b'{"features": {}} {}', "not_json", ["trailing"]),
    "byte order mark": (b'\xef\xbb\xbf{"features": {}}', "not_json", ["not JSON"]),
    "lone surrogate": (rb'{"features": {"a": "\ud800"}}', "not_json", ["not JSON"]),
    "deep": (b'{"features": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "not_json", ["recursion"]),
    "deep in an ignored field": (
        b'{"features": {}, "x": ' + b"[" * 300 + b"]" * 300 + b"}",
        "not_json",
        ["recursion"],
    ),
    "digits without end": (b'{"features": {"a": ' + b"9" * 5000 + b"}}", "not_json", ["out of range"]),
    "a list": (b"[1]", "invalid", ["expected a JSON object", "list"]),
    "a text": (b'"x"', "invalid", ["expected a JSON object", "str"]),
    "null": (b"null", "invalid", ["expected a JSON object"]),
    "nothing": (b"{}", "invalid", ["features: missing"]),
    "no features, no label": (b'{"id": 1}', "invalid", ["features: missing"]),
    "no features, a label without an id": (b'{"label": 1}', "invalid", ["id: missing", "the id of its event"]),
    "no features, no usable label": (b'{"id": 1, "label": []}', "label", ["label: expected"]),
    "no features, an id that is none": (b'{"id": 1.5, "label": 1}', "invalid", ["id: expected", "1.5"]),
    "features null": (event(features=None), "invalid", ["features: expected an object", "null"]),
    "features a list": (event(features=[1]), "invalid", ["features: expected an object", "a list"]),
    "id an object": (event(id={}), "invalid", ["id: expected a text or a whole number", "an object"]),
    "id true": (event(id=True), "invalid", ["id: expected", "true/false"]),
    "id 1.5": (event(id=1.5), "invalid", ["id: expected", "1.5"]),
    "ts a text": (event(ts="now"), "invalid", ["ts: expected a whole number", "now"]),
    "ts too far": (event(ts=2**62 + 1), "invalid", ["ts: expected a whole number", "within ±2^62", str(2**62 + 1)]),
    "ts of 400 digits": (event(ts=-(10**400)), "invalid", ["ts: expected a whole number", "-1000"]),
    "ts 1.5": (event(ts=1.5), "invalid", ["ts: expected a whole number", "1.5"]),
    "feature an object": (
        event(features={"a": {"b": 1}}),
        "features",
        ["features.a: expected a number", "an object"],
    ),
    "feature NaN": (b'{"features": {"a": NaN}}', "features", ["features.a: NaN and Infinity", "null"]),
    "feature Infinity": (b'{"features": {"a": -Infinity}}', "features", ["features.a: NaN and Infinity"]),
    "feature 1e999": (b'{"features": {"a": 1e999}}', "features", ["features.a: NaN and Infinity"]),
    "second feature bad": (event(features={"a": 1, "b": {}}), "features", ["features.b: expected"]),
    "vector with a text": (event(features={"a": [1, "x"]}), "features", ["features.a[1]: expected a number", "x"]),
    "vector with true": (event(features={"a": [True]}), "features", ["features.a[0]: expected a number"]),
    "vector in a vector": (event(features={"a": [[1]]}), "features", ["features.a[0]: expected a number", "a list"]),
    "vector with NaN": (b'{"features": {"a": [1, NaN]}}', "features", ["features.a: NaN and Infinity"]),
    "label an object": (event(label={}), "label", ["label: expected", "an object"]),
    "label a list": (event(label=[1]), "label", ["label: expected", "a list"]),
    "label NaN": (b'{"features": {}, "label": NaN}', "label", ["label: expected", "nan"]),
    "class 1.5": (event(label=1.5), "label", ["label: expected a class", "1.5"]),
}
BAD_NUMBERS = {
    "text": (event(label="x"), ["label: expected a number", "str"]),
    "true": (event(label=True), ["label: expected a number", "bool"]),
    "too large": (event(label=2e100), ["label: expected a finite number of at most 1e100"]),
    "no float holds it": (b'{"features": {}, "label": 1' + b"0" * 400 + b"}", ["label: expected a finite number"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values(name):
    value, problem, words = BAD[name]
    result = decoded(value)
    (refused,) = result.refused
    assert result.records == []
    assert refused.record.value == value
    assert refused.problem == problem
    for word in words:
        assert word in refused.reason
    assert len(refused.reason) < 300


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_bad_labels_of_a_regression(name):
    value, words = BAD_NUMBERS[name]
    (refused,) = decoded(value, task="regression").refused
    assert refused.problem == "label"
    for word in words:
        assert word in refused.reason
    assert len(refused.reason) < 300


def test_every_problem_of_the_public_record_is_in_the_table():
    from typing import get_args  # noqa: PLC0415

    from service.events import Problem  # noqa: PLC0415

    elsewhere = {"second_label", "unknown_id", "unreadable"}  # test_labels.py, test_formats.py
    assert {problem for _, problem, _ in BAD.values()} | elsewhere == set(get_args(Problem))


def test_unknown_fields_are_ignored():
    result = decoded(event(features={"a": 1}, colour="red", deep={"a": [None, {"b": 1}]}))
    assert result.refused == []
    assert result.features == [{"a": 1}]


def test_an_event_without_id_and_ts_takes_them_from_its_record():
    result = decoded(event(), event(id=None, ts=None), event(id="a", ts=5), event(id=7, ts=-1))
    assert result.ids == ["events/3/0", "events/3/1", "a", 7]
    assert result.timestamps == [1000, 1001, 5, -1]


def test_values_keep_their_types():
    features = {"int": 1, "float": 1.0, "text": "1", "yes": True, "no": False, "gone": None, "list": [1, 2.5, None]}
    result = decoded(event(features=features))
    assert result.features == [features]
    assert [type(value) for value in result.features[0].values()] == [int, float, str, bool, bool, type(None), list]


def test_labels():
    result = decoded(*[event(label=label) for label in (None, "a", 1, True, 2.0)], event())
    assert result.labels == [None, "a", 1, True, 2.0, None]
    assert [type(label) for label in result.labels[2:4]] == [int, bool]


def test_the_limit_itself_is_not_too_large():
    value = event(x="y" * 50)
    assert decoded(value, limit=len(value)).refused == []
    assert decoded(value, limit=len(value) - 1).refused[0].problem == "too_large"


def test_many_lists_are_not_depth():
    assert decoded(event(features={f"v{i}": [i] for i in range(500)})).refused == []


@pytest.mark.parametrize(
    "halves", [[b'{"x":"}', b'{"}'], [b'{"features":{}', b"{}}"], [b'{"features":{"a":"}', b'{"}}']]
)
def test_halves_of_an_event_do_not_join_where_another_record_holds_two(halves):
    """As many events as records, and yet not one a record."""
    both = b'{"features":{"a":1}}\n{"features":{"a":2}}'
    result = decoded(*halves, both, event())
    assert [each.record.offset for each in result.refused] == [0, 1, 2]
    assert [record.offset for record in result.records] == [3]


def test_an_event_may_stand_on_several_lines():
    assert decoded(b'{\n"features":\n{"a": 1}\n}', event()).features[0] == {"a": 1}


# -- whatever comes in

_number = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
_scalar = st.one_of(st.none(), st.booleans(), _number, st.text(max_size=5))
_json = st.recursive(_scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
_near = st.fixed_dictionaries(
    {},
    optional={
        "features": st.dictionaries(st.sampled_from("abc"), _json, max_size=3) | _json,
        "id": _scalar,
        "ts": _scalar,
        "label": _scalar | _json,
        "x": _json,
    },
)
_texts = st.one_of(_near, _near, _json).map(lambda value: json.dumps(value).encode())
_spoilt = st.tuples(_texts, st.integers(0), st.binary(max_size=2)).map(
    lambda t: t[0][: t[1] % (len(t[0]) + 1)] + t[2] + t[0][t[1] % (len(t[0]) + 1) :]
)
_tokens = st.lists(
    st.sampled_from([
        b"{", b"}", b"[", b"]", b":", b",", b'"features"', b'"label"', b'"id"', b'"ts"', b'"a"', b"NaN", b"-Infinity",
        b"1e999", b"-0", b"-0.0", b"1.0", b"0.1e-400", b"true", b"null", b"12345678901234567890123", b'"\xff"',
        b'"\\ud800"', b'"\\ud83d\\ude00"', b" ", b'{"features":{', b"}}", b'"features":',
    ]),
    max_size=14,
).map(b"".join)  # fmt: skip
_values = st.one_of(st.binary(max_size=30), _texts, _spoilt, _tokens)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.none() | _values, max_size=8))
def test_each_record_is_in_exactly_one_place_and_in_order(values):
    result = decoded(*values)
    taken, refused = [r.offset for r in result.records], [r.record.offset for r in result.refused]
    assert sorted(taken + refused) == list(range(len(values)))
    assert taken == sorted(taken)
    assert refused == sorted(refused)
    columns = (result.ids, result.timestamps, result.features, result.labels)
    assert {len(column) for column in columns} == {len(taken)}


@settings(max_examples=600, deadline=None)
@given(_values)
@example(b'{"features":{"a":123456789012345678901234567890}}')
@example(b'{"features":{},"ts":123456789012345678901234567890}')
@example(b'{"features":3,"features":{}}')
@example(b'{"features":{},"features":3}')
@example(b'{"features":{"a":{}},"features":{"a":1}}')
@example(b'{"features":{"a":-0}}')
@example(b'{"features":{"a":-0.0}}')
@example(b'{"features":{},"ts":1.0}')
@example(b'{"features":{},"id":1e3}')
@example(b'{"features":{},"x":NaN}')
@example(b'{"features":{},"x":1e999}')
@example(b'{"features":{},"x":"\xff"}')
@example(b'{"features":{},"\xff":1}')
@example(b'{"features":{},"x":"\\ud800"}')
@example(b'{"features":{},"x":' + b"[" * 250 + b"]" * 250 + b"}")
def test_an_event_is_what_the_public_record_says(value):
    """The one known exception: a whole number of over 4,300 digits in an ignored field is let through."""
    result = decoded(value, task="classification")
    refused = [each for each in result.refused if "class" not in each.reason]
    expected = public(value)
    if expected is None:
        assert result.records == []
    else:
        assert refused == []
        if result.records:
            assert json.dumps(result.features[0]) == json.dumps(getattr(expected, "features", None))
            assert repr(result.labels[0]) == repr(expected.label)
            assert expected.id in (None, result.ids[0])
            assert expected.ts in (None, result.timestamps[0])


@pytest.mark.parametrize("task", ["classification", "regression"])
@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.none() | _values, min_size=1, max_size=12))
@example(values=[event(label=10**400)])
@example(values=[b'{"id":1,"label":true}', b'{"id":1,"label":2}', event(id=1), event(id=1)])
@example(values=[event(ts=2**70), event(ts=-(2**70)), event(id=2**70)])
@example(values=[event(features={"a": 10**400}), event(features={"a": 1}), event(features={"a": -(10**400)})])
@example(values=[event(label=x) for x in (1e300, -1e300, 1e100, -1e100, 1.0)])
@example(values=[event(features={"a": "\u0000", "": ""}, label=""), event(label=1e300)])
def test_no_value_stops_the_stream(task, values):
    log = MemoryLog([P0])
    for value in values:
        log.append(P0, value)
    rig = Rig(log, make_settings(model={"task": task})).run()
    dead = [record.value for record in rig.publisher.topic("dead-letters")]
    late = sum(is_late_label(value) for value in values)  # it is learned, or waits, or is a dead letter
    assert len(rig.predictions()) + sum(not is_late_label(value) for value in dead) == len(values) - late
    assert log.committed[P0].offset == len(values)
    assert all(0 <= record.timestamp_ms < 2**63 for record in rig.publisher.durable)
