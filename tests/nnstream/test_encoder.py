"""Features to columns: standardisation, categories, vectors, what is missing and what comes later."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream.encoder import Encoder
from nnstream.errors import FeatureError, SpecError
from nnstream.schema import FeatureSpec, bucket


def encode(encoder, rows, learned=None):
    """All rows as one float64 matrix of the final width, and what was refused; all are learned unless said."""
    refused, parts = {}, []
    flags = np.ones(len(rows), np.bool_) if learned is None else np.array(learned, np.bool_)
    for part in encoder.segments(rows, flags, refused):
        if part.is_new:
            (i,) = part.rows
            encoder.admit(rows[i])
            parts.append(([i], encoder.learn(rows[i]).X))
        else:
            parts.append((part.rows, part.X))
    X = np.zeros((len(rows), encoder.width))
    for indices, part in parts:
        X[indices, : part.shape[1]] = part
    return X, refused


def columns(encoder, X, row=-1):
    """Column name to value of one row, without zeros."""
    return {name: value for name, value in zip(encoder.column_names, X[row], strict=True) if value}


def everything(encoder):
    state = {name: array.tobytes() for name, array in encoder.state().items()}
    return state, json.dumps(encoder.describe())


def welford(values, clip=5.0, memory=math.inf):
    """The definition: scale each value with mean and variance as they are with it; NaN is missing."""
    count = mean = variance = 0.0
    out = []
    for raw in values:
        x = raw
        if math.isnan(x):
            out.append(0.0)
            continue
        if count >= 30 and variance > 0:
            reach = 10 * math.sqrt(variance)
            x = min(max(x, mean - reach), mean + reach)
        count = min(count + 1, memory)
        distance = x - mean
        mean += distance / count
        variance += (distance * (x - mean) - variance) / count
        scaled = (raw - mean) / math.sqrt(variance) if variance > 0 else 0.0
        out.append(min(max(scaled, -clip), clip))
    return out


_numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(_numbers, min_size=1, max_size=80), memory=st.sampled_from([math.inf, 2, 20]))
def test_standardisation_is_that_of_a_plain_loop(values, memory):
    encoder = Encoder(memory=memory)
    rows = [{"a": None if math.isnan(x) else x, "b": 1.0} for x in values]
    X, refused = encode(encoder, rows)
    assert refused == {}
    if "a" in encoder.column_names:
        assert X[:, encoder.column_names.index("a")] == pytest.approx(
            welford(values, memory=memory), rel=1e-4, abs=1e-4
        )
    assert not X[:, encoder.column_names.index("b")].any()


def test_mean_and_spread_are_those_of_all_values():
    values = np.random.default_rng(0).normal(50, 3, 500)
    encoder = Encoder()
    encode(encoder, [{"a": x} for x in values])
    assert encoder.state()["mean"][0] == pytest.approx(values.mean())
    assert encoder.state()["variance"][0] == pytest.approx(values.var())
    assert encoder.encode([{"a": values.mean()}]).X[0, 0] == pytest.approx(0, abs=1e-5)
    assert encoder.encode([{"a": values.mean() + values.std()}]).X[0, 0] == pytest.approx(1, rel=3e-3)  # and itself


def test_an_outlier_is_clipped_and_moves_the_statistics_only_so_far():
    encoder = Encoder(clip=4)
    rng = np.random.default_rng(0)
    encode(encoder, [{"a": x} for x in rng.normal(0, 1, 1000)])
    X, _ = encode(encoder, [{"a": 1e300}, {"a": -1e300}, {"a": 1.0}])
    assert X[:2, 0].tolist() == [4.0, -4.0]
    assert X[2, 0] == pytest.approx(1, abs=0.2)


def test_whole_numbers_that_no_float_holds_are_outliers():
    encoder = Encoder()
    encode(encoder, [{"a": float(i % 3), "b": 0} for i in range(50)])
    X, refused = encode(encoder, [{"a": 10**400, "b": 0}, {"a": -(10**400), "b": 0}])
    assert refused == {}
    assert X[:, 0].tolist() == [5.0, -5.0]


def test_true_and_false_are_one_and_zero():
    flags, numbers = Encoder(), Encoder()
    values = [True, False, False, True, True]
    X, _ = encode(flags, [{"a": x} for x in values])
    assert np.array_equal(X, encode(numbers, [{"a": int(x)} for x in values])[0])


# -- categories


def test_a_category_has_a_column_a_value():
    encoder = Encoder()
    X, _ = encode(encoder, [{"c": "x"}, {"c": "y"}, {"c": "x"}, {"c": None}, {}])
    assert encoder.column_names == ["c=x", "c=y"]
    assert X.tolist() == [[1, 0], [0, 1], [1, 0], [0, 0], [0, 0]]


def test_values_beyond_the_columns_are_hashed():
    encoder = Encoder({"c": FeatureSpec("category", max_categories=2, buckets=4)})
    X, _ = encode(encoder, [{"c": value} for value in ("x", "y", "z", "w", "x", "z")])
    assert encoder.column_names == ["c=x", "c=y", "c#0", "c#1", "c#2", "c#3"]
    assert columns(encoder, X, 2) == {f"c#{bucket('z', 4)}": 1}
    assert columns(encoder, X, 3) == {f"c#{bucket('w', 4)}": 1}
    assert columns(encoder, X, 4) == {"c=x": 1}
    assert np.array_equal(X[2], X[5])


def test_a_hashed_feature_never_grows():
    encoder = Encoder({"c": FeatureSpec("hashed", buckets=8)})
    X, _ = encode(encoder, [{"c": f"v{i}"} for i in range(200)])
    assert encoder.width == 8
    assert (X.sum(axis=1) == 1).all()
    assert (X.sum(axis=0) > 0).all()


def test_the_hash_is_the_same_in_every_process():
    assert [bucket(text, 16) for text in ("", "a", "NL", "é")] == [0, 3, 15, 14]


def test_numbers_under_a_category_are_its_texts():
    encoder = Encoder({"c": FeatureSpec("category")})
    X, _ = encode(encoder, [{"c": 3}, {"c": "3"}, {"c": True}, {"c": "true"}])
    assert encoder.column_names == ["c=3", "c=true"]
    assert X.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


# -- vectors


def test_a_vector_is_a_column_an_element():
    encoder, plain = Encoder(), Encoder()
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 2, (50, 3)).tolist()
    X, _ = encode(encoder, [{"v": row} for row in rows])
    expected, _ = encode(plain, [dict(zip("abc", row, strict=True)) for row in rows])
    assert encoder.column_names == ["v[0]", "v[1]", "v[2]"]
    assert np.array_equal(X, expected)


def test_elements_of_a_vector_may_be_missing():
    encoder = Encoder()
    X, refused = encode(encoder, [{"v": [1.0, 2.0]}, {"v": [3.0, None]}, {"v": None}, {}])
    assert refused == {}
    assert X[1, 0] > 0
    assert X[1:, 1].tolist() == [0, 0, 0]


# -- coming and going


def test_a_new_feature_gets_the_next_column_and_old_columns_stay():
    encoder = Encoder()
    first, _ = encode(encoder, [{"a": float(i)} for i in range(10)])
    assert encoder.column_names == ["a"]
    X, _ = encode(encoder, [{"a": 1.0, "b": 1.0, "c": "x"}, {"a": 2.0, "b": 5.0, "c": "x"}])
    assert encoder.column_names == ["a", "b", "c=x"]
    assert X[1, 1] == pytest.approx(1)
    alone = Encoder()
    assert np.array_equal(
        np.concatenate([first, X[:, :1]]), encode(alone, [{"a": float(x)} for x in (*range(10), 1, 2)])[0]
    )


def test_a_feature_that_disappears_is_missing_and_comes_back():
    encoder = Encoder()
    rows = [{"a": float(i % 5), "b": float(i % 3)} for i in range(40)]
    encode(encoder, rows)
    before = encoder.encode([{"a": 3.0, "b": 1.0}]).X.copy()
    X, refused = encode(encoder, [{"b": 1.0}] * 10)
    assert refused == {}
    assert not X[:, 0].any()
    assert encoder.encode([{"a": 3.0, "b": 1.0}]).X[0, 0] == before[0, 0]


def test_null_does_not_bring_a_feature():
    encoder = Encoder()
    encode(encoder, [{"a": None, "b": 1.0}])
    assert encoder.column_names == ["b"]


def test_the_order_of_names_in_a_row_does_not_matter():
    one, other = Encoder(), Encoder()
    rows = [{"b": 1.0, "a": "x", "c": [1.0]}, {"c": [2.0], "a": "y", "b": 2.0}]
    X, _ = encode(one, rows)
    Z, _ = encode(other, [dict(reversed(row.items())) for row in rows])
    assert np.array_equal(X, Z)
    assert everything(one) == everything(other)


def test_encoding_without_learning_changes_nothing():
    encoder = Encoder()
    encode(encoder, [{"a": float(i), "c": "xy"[i % 2], "v": [i, 1]} for i in range(9)])
    before = everything(encoder)
    X = encoder.encode([{"a": 99.0, "c": "new", "d": 1.0}, {"c": "x"}, {}]).X
    assert everything(encoder) == before
    assert X.shape == (3, encoder.width)
    assert not X[2].any()


def test_a_row_that_is_asked_about_gets_what_it_would_be_learned_with():
    rng = np.random.default_rng(1)
    rows = [{"a": float(x), "c": "pq"[i % 2], "v": [i, float(x)]} for i, x in enumerate(rng.normal(size=40))]
    asking, learning = Encoder(), Encoder()
    encode(asking, rows[:1])
    encode(learning, rows[:1])
    for row in rows[1:]:
        asked = asking.encode([row]).X
        assert np.array_equal(asking.encode([row]).X, asked)
        learned, _ = encode(learning, [row])
        assert np.array_equal(asked[0], learned[0, : asked.shape[1]])
        encode(asking, [row])
    assert everything(asking) == everything(learning)


def test_rows_that_are_not_learned_change_nothing_and_know_what_those_before_them_taught():
    learned = [True, False, True, False, False, True]
    rows = [
        {"a": 1.0, "c": "x"},
        {"a": 9.0, "c": "y", "d": 1.0},
        {"a": 3.0, "c": "y"},
        {"c": "y"},
        {"a": 2.0},
        {"a": 7},
    ]
    mixed, alone = Encoder(), Encoder()
    X, refused = encode(mixed, rows, learned)
    assert refused == {}
    encode(alone, [row for row, flag in zip(rows, learned, strict=True) if flag])
    assert everything(mixed) == everything(alone)
    assert mixed.column_names == ["a", "c=x", "c=y"]
    assert X.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [1, 0, 1],
        [0, 0, 1],
        [0, 0, 0],
        [pytest.approx(1.336, abs=1e-3), 0, 0],
    ]


def test_a_number_of_which_nothing_is_known_or_that_never_varied_is_0():
    encoder = Encoder({"a": FeatureSpec("number")})
    assert encoder.encode([{"a": 7.0}]).X.tolist() == [[0]]
    encode(encoder, [{"a": 3.0}] * 5)
    assert encoder.encode([{"a": 3.0}]).X.tolist() == [[0]]


# -- a declared schema


SCHEMA = {"a": FeatureSpec("number"), "v": FeatureSpec("vector", size=2), "c": FeatureSpec("category", 2, 3)}


def test_a_declared_schema_has_its_columns_from_the_start_and_ignores_other_names():
    encoder = Encoder(SCHEMA)
    assert encoder.column_names == ["a", "v[0]", "v[1]"]
    _, refused = encode(encoder, [{"z": 1.0, "y": {}, "c": "x"}, {"a": 1}])
    assert refused == {}
    assert encoder.column_names == ["a", "v[0]", "v[1]", "c=x"]


REFUSED = {
    "text for a number": ({"a": "high"}, "features.a: expected a number, got str 'high'"),
    "list for a number": ({"a": [1]}, "features.a: expected a number, got list"),
    "number for a vector": ({"v": 1}, "features.v: expected a list of 2 numbers, got int 1"),
    "text for a vector": ({"v": "ab"}, "features.v: expected a list of 2 numbers, got str"),
    "short vector": ({"v": [1]}, "features.v: expected 2 numbers, got 1"),
    "text in a vector": ({"v": [1, "x"]}, "features.v[1]: expected a number, got str 'x'"),
    "list for a category": ({"c": [1]}, "features.c: expected a category (a text), got list"),
    "second feature": ({"a": 1, "c": [1]}, "features.c: expected"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("declared", [True, False])
def test_a_refused_row_names_the_feature_and_changes_nothing(name, declared):
    bad, reason = REFUSED[name]
    good = [{"a": float(i), "v": [i, -i], "c": "xyz"[i % 3]} for i in range(6)]
    one, other = (Encoder(SCHEMA if declared else None) for _ in range(2))
    X, refused = encode(one, [*good[:3], bad | {"new": 1.0}, *good[3:]])
    Z, _ = encode(other, good)
    assert list(refused) == [3]
    assert refused[3].startswith(reason)
    assert np.array_equal(np.delete(X, 3, axis=0), Z)
    assert everything(one) == everything(other)
    with pytest.raises(FeatureError, match="features"):
        one.check(bad)


@pytest.mark.parametrize("value", [{}, {"x": 1}, [], object()])
def test_a_new_feature_of_no_known_kind_is_refused(value):
    encoder = Encoder()
    _, refused = encode(encoder, [{"n": value}])
    assert refused[0].startswith("features.n: ")
    assert encoder.width == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Encoder(clip=0), lambda: Encoder(memory=1), lambda: FeatureSpec("vector"),
        lambda: FeatureSpec("category", max_categories=0), lambda: FeatureSpec("hashed", buckets=0),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        wrong()


# -- any cut, and what is described can be restored

_value = st.one_of(st.none(), st.floats(-9, 9), st.sampled_from("pqrs"), st.booleans(), st.integers(-5, 5))
_rows = st.lists(
    st.dictionaries(st.sampled_from("abcd"), _value | st.lists(st.floats(-9, 9), max_size=2)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(rows=_rows, cut=st.integers(0, 25))
def test_any_cut_and_a_restored_encoder_give_the_same_bits(rows, cut):
    whole, first = Encoder(), Encoder()
    X, refused = encode(whole, rows)
    A, refused_first = encode(first, rows[:cut])
    arrays = {name: array.copy() for name, array in first.state().items()}
    second = Encoder.restored(json.loads(json.dumps(first.describe())), arrays)
    B, refused_second = encode(second, rows[cut:])
    for found, expected in ((A, X[:cut]), (B, X[cut:])):
        assert np.array_equal(np.pad(found, ((0, 0), (0, whole.width - found.shape[1]))), expected)
    assert everything(second) == everything(whole)
    assert refused == refused_first | {cut + i: reason for i, reason in refused_second.items()}


def test_column_names_are_unique():
    encoder = Encoder()
    encode(encoder, [{"a": 1.0, "b": "x", "c": [1, 2]}, {"b": "y"}])
    assert Counter(encoder.column_names).most_common(1)[0][1] == 1
    assert len(encoder.column_names) == encoder.width
