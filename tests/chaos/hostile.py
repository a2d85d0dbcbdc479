"""Hostile records of every kind: each is bad by how it is made, so that none is an event by chance."""

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from msgspec.json import encode

from service.events import DEAD_LETTER_HEADER

MAX_EVENT_BYTES = 64 * 1024
LARGEST_BYTES = 3 * 2**20

EVENT = b'{"id": "h", "features": {"a": %s, "b": 0.5}, "label": 1%s}'
ONE = EVENT % (b"1", b"")

_no_object = st.text(min_size=1).filter(lambda text: not text.isspace() and text.lstrip()[:1] != "{")
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_no_utf8 = st.sampled_from([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8"])
_lists, _objects = st.lists(_json, max_size=4), st.dictionaries(st.text(), _json, max_size=4)
_no_numbers = st.one_of(
    st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999999999", b"[1, NaN]", b"[1e999]"]),
    st.integers(4_400, 20_000).map(lambda digits: b"9" * digits),  # Python itself refuses to read those
)


def _event(**changes):
    return encode({"id": "h", "features": {"a": 1, "b": 0.5}, "label": 1} | changes)


def _with(value):
    return EVENT % (b"1", b', "x": ' + value)


def _nested(opening, closing):
    return st.integers(1_100, 20_000).map(lambda depth: _with(opening * depth + b"1" + closing * depth))


KINDS = {
    "tombstone": st.none(),
    "empty": st.sampled_from([b"", b" ", b"\n\t "]),
    "broken UTF-8": st.tuples(st.binary(max_size=200), _no_utf8).map(lambda parts: _with(b'"%s%s"' % parts)),
    "bytes": st.binary(min_size=1, max_size=500).map(lambda data: b"\xfe" + data),
    "text": _no_object.map(str.encode),
    "half an event": st.integers(1, len(ONE) - 1).map(lambda end: ONE[:end]),
    "two events": st.sampled_from([b"", b" ", b"\n", b","]).map(lambda between: ONE + between + ONE),
    "no object": (_lists | st.integers(-(2**60), 2**60) | st.text()).map(encode),
    "deep lists": _nested(b"[", b"]"),
    "deep objects": _nested(b'{"x":', b"}"),
    "unclosed": st.integers(1_100, 50_000).map(lambda depth: b"[" * depth),
    "no number": _no_numbers.map(lambda text: EVENT % (text, b"")),
    "object for a number": _objects.map(lambda value: _event(features={"a": value})),
    "text for a number": st.text().map(lambda value: _event(features={"a": value, "b": 0.5})),
    "no features": (_lists | st.text() | st.booleans() | st.none()).map(lambda value: _event(features=value)),
    "id": (_lists | _objects | st.booleans() | st.floats(0.1, 0.9)).map(lambda value: _event(id=value)),
    "ts": (_lists | _objects | st.booleans() | st.floats(0.1, 0.9) | st.text()).map(lambda value: _event(ts=value)),
    "ts far away": st.integers(63, 14_000).map(lambda bits: EVENT % (b"1", b', "ts": %d' % 2**bits)),
    "label": (_lists | _objects | st.floats(0.1, 0.9)).map(lambda value: _event(label=value)),
    "surrogate": st.sampled_from([b'"\\ud800"', b'"\\udfff x"']).map(_with),
    "oversize": st.integers(MAX_EVENT_BYTES + 1, LARGEST_BYTES).map(lambda size: _with(b'"%s"' % (b"x" * size))),
}  # fmt: skip
LARGE = "oversize"

_names = st.text(max_size=20) | st.just(DEAD_LETTER_HEADER)  # a forged one, or a dead letter that is sent again
headers = st.lists(st.tuples(_names, st.binary(max_size=50)), max_size=3)
keys = st.none() | st.binary(max_size=50)


def drawn(strategy, count, number):
    """Return values that Hypothesis makes up, always the same for one number."""
    values = []

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(value):
        values.append(value)

    collect()
    return values
