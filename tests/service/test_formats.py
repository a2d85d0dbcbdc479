"""Formats beside JSON: the same events, refused for the same reasons."""

import json
import math
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rig import P0, Rig, make_settings

from nnstream.model import Model, ModelSpec
from service.decode import decode
from service.errors import DataError
from service.events import Event, LateLabel
from service.formats.float_vector import JSON_TYPE, FloatVectorFormat
from service.formats.known import FORMATS
from service.formats.message_pack import MessagePackFormat
from service.testing import MemoryLog, MemoryRecord

CHECK = Model(ModelSpec(task="classification")).check_label
pack = msgspec.msgpack.encode


def decoded(form, *records, labels_only=False):
    rows = [MemoryRecord(i, 1000 + i, None, value, headers) for i, (value, headers) in enumerate(records)]
    return decode(rows, "events/0", 10_000, CHECK, form, labels_only=labels_only)


def refused(form, value, headers=(), **more):
    """The problem and the reason of a record; beside one that is right, and alone."""
    alone = decoded(form, (value, headers), **more)
    assert not alone.records
    return alone.refused[0].problem, alone.refused[0].reason


# -- MessagePack

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
events = st.fixed_dictionaries(
    {"features": st.dictionaries(st.text(max_size=4), values, max_size=4) | values},
    optional={"id": values, "ts": values, "label": values, "other": values},
)


def public(plain):
    """The event or late label that the public records see in plain data; None where it is neither."""
    for kind in (Event, LateLabel):
        try:
            return kind.model_validate(plain)
        except ValidationError as error:
            if not any(each["type"] == "missing" and each["loc"] == ("features",) for each in error.errors()):
                return None
    return None


@given(
    st.lists(
        events | st.fixed_dictionaries({"id": st.text(max_size=3), "label": values}) | values, min_size=1, max_size=4
    )
)
def test_message_pack_takes_what_the_public_record_says(plain):
    found = decoded(MessagePackFormat(), *((pack(each), ()) for each in plain))
    rows = {record.offset: i for i, record in enumerate(found.records)}
    reasons = {each.record.offset: each.problem for each in found.refused}
    for i, each in enumerate(plain):
        wanted = public(each)
        if wanted is None:
            assert i in reasons
        elif reasons.get(i) == "label":
            with pytest.raises(Exception, match="label"):
                CHECK(wanted.label)
        else:
            features = getattr(wanted, "features", None)
            assert found.features[rows[i]] == features
            assert found.labels[rows[i]] == wanted.label
            assert found.ids[rows[i]] == (f"events/0/{i}" if wanted.id is None else wanted.id)


@pytest.mark.parametrize(
    ("value", "problem", "words"),
    [
        (b"", "empty", "MessagePack map"),
        (b"\xc1", "unreadable", "not MessagePack"),
        (pack({"features": {}})[:-1], "unreadable", "not MessagePack"),
        (pack({"features": {"a": math.nan}}), "features", "features.a: NaN"),
        (pack({"features": {"a": [1.0, -math.inf]}}), "features", "features.a"),
        (pack({"features": {"a": b"x"}}), "features", "features.a: expected a number"),
        (pack({"features": {}, "label": math.inf}), "label", "label"),
        (pack([1]), "invalid", "object, got list"),
        (pack({"id": "e", "ts": "now", "features": {}}), "invalid", "ts: expected a whole number"),
    ],
)
def test_message_pack_that_is_no_event(value, problem, words):
    kind, reason = refused(MessagePackFormat(), value)
    assert kind == problem
    assert words in reason
    good = pack({"features": {"a": 1.0}})
    assert [each.problem for each in decoded(MessagePackFormat(), (good, ()), (value, ())).refused] == [problem]


# -- vectors of float32


def vector(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_vectors_are_read_alone_and_together():
    form = FloatVectorFormat()
    first = (vector(1.5, -2.0), (("id", b"e-1"), ("label", b'"up"')))
    second = (vector(0.25, math.nan), (("label", b"1"),))
    late = (b'{"id": "e-1", "label": "down"}', (JSON_TYPE,))
    found = decoded(form, first, second, late, (vector(3.0), ()))
    assert found.features == [{"vector": [1.5, -2.0]}, {"vector": [0.25, None]}, None, {"vector": [3.0]}]
    assert found.ids == ["e-1", "events/0/1", "e-1", "events/0/3"]
    assert found.labels == ["up", 1, "down", None]
    assert decoded(form, first, first).features == [{"vector": [1.5, -2.0]}] * 2


@pytest.mark.parametrize(
    ("value", "headers", "problem", "words"),
    [
        (b"", (), "empty", "4 bytes a number"),
        (b"12345", (), "unreadable", "5 bytes"),
        (vector(1.0, math.inf), (), "features", "features.vector[1]"),
        (vector(1.0), (("id", b"\xff"),), "not_utf8", "header id"),
        (vector(1.0), (("label", b"up"),), "label", "header label"),
        (vector(1.0), (("label", b"[1]"),), "label", "got [1]"),
        (vector(1.0), (JSON_TYPE,), "not_utf8", "UTF-8"),
    ],
)
def test_vectors_that_are_none(value, headers, problem, words):
    kind, reason = refused(FloatVectorFormat(), value, headers)
    assert kind == problem
    assert words in reason
    both = decoded(FloatVectorFormat(), (vector(2.0), ()), (value, headers))
    assert [each.problem for each in both.refused] == [problem]


def test_labels_topics_of_vectors_hold_json():
    found = decoded(FloatVectorFormat(), (b'{"id": 7, "label": true}', ()), labels_only=True)
    assert (found.ids, found.labels) == ([7], [True])


def test_what_has_no_room_in_a_vector_is_refused():
    with pytest.raises(DataError, match=r"feature city is 'Rome'.* take json"):
        FloatVectorFormat().write({"features": {"a": 1.0, "city": "Rome"}})


# -- all formats

EVENTS = [
    {"id": f"e-{i}", "features": {"vector": row}, **({} if i % 3 == 0 else {"label": int(sum(row) > 0)})}
    for i, row in enumerate(np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32).astype(float).tolist())
]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_written_and_read_it_is_the_same(name):
    form = FORMATS[name]()
    found = decoded(form, *(form.write(each) for each in EVENTS))
    assert found.features == [each["features"] for each in EVENTS]
    assert found.ids == [each["id"] for each in EVENTS]
    assert found.labels == [each.get("label") for each in EVENTS]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_predictions_whatever_the_format_also_for_late_labels(name):
    def run(kind):
        log, form = MemoryLog([P0]), FORMATS[kind]()
        for i, each in enumerate(EVENTS):
            value, headers = form.write(each)
            log.append(P0, value, headers=headers)
            if i % 3 == 2:
                late = {"id": EVENTS[i - 2]["id"], "label": "late"}
                headers = (JSON_TYPE,) if kind == "f32" else ()
                log.append(P0, pack(late) if kind == "msgpack" else json.dumps(late).encode(), headers=headers)
        return Rig(log, make_settings(topics={"format": kind}), batch_size=7).run()

    assert run(name).published()["predictions"] == run("json").published()["predictions"]
    assert not run(name).published()["dead-letters"]
