"""Detectors that give as many false alarms as were asked for, and see what is there to be seen."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnstream.drift.blocks import ROWS, Blocks
from nnstream.drift.changes import HISTORY, Changes
from nnstream.drift.detectors import KINDS, DetectorSpec, knob
from nnstream.drift.features import FeatureColumns
from nnstream.errors import SpecError
from nnstream.schema import Table

DISTRIBUTIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=(*shape, 4)).mean(axis=-1),
    "counts": lambda rng, shape: rng.binomial(ROWS, 0.2, shape) / ROWS,
}


def changes_of(name, series, every, *, up_only=False):
    changes = Changes(DetectorSpec(name))
    for _ in range(series):
        changes.add_series(every, up_only=up_only)
    return changes


# -- what was asked for


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("every", "up_only", "kind"), [(300, True, "exponential"), (1500, False, "normal")])
def test_false_alarms_come_as_often_as_was_asked_for(name, every, up_only, kind):
    if name == "kswin" and every > 300:
        every = 200  # it takes 300 microseconds a number
    series, rng = 5 if name == "kswin" else 20, np.random.default_rng(2)
    blocks = every * 80 // series
    changes = changes_of(name, series, every, up_only=up_only)
    numbers = DISTRIBUTIONS[kind](rng, (blocks + 16, series))
    alarms = len(changes.update(numbers))
    assert 0.5 < blocks * series / alarms / every < 2


def test_numbers_of_few_values_give_no_more():
    changes = changes_of("adwin", 200, 500)
    numbers = DISTRIBUTIONS["counts"](np.random.default_rng(3), (300, 200))
    assert len(changes.update(numbers)) < 2 * 300 * 200 / 500


@pytest.mark.parametrize("name", KINDS)
def test_rarer_false_alarms_move_the_knob_one_way(name):
    knobs = [knob(name, blocks) for blocks in np.geomspace(50, 1e7, 30)]
    steps = np.diff(knobs)
    assert (steps <= 0).all() or (steps > 0).all()
    assert all(np.isfinite(knobs))


@pytest.mark.parametrize("name", KINDS)
def test_every_detector_is_made_with_rates_from_one_to_the_other_end(name):
    for every in (10, 1e4, 1e8, 1e12):
        detector = DetectorSpec(name).detector(every, up_only=True)
        detector.update(0)


# -- what is there to be seen


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("up_only", [True, False])
def test_a_change_is_seen_described_and_followed_by_a_fresh_start(name, up_only):
    rng = np.random.default_rng(4)
    changes = changes_of(name, 3, {"eddm": 300, "ddm": 3000}.get(name, 100_000), up_only=up_only)
    found = []
    for i in range(400):
        numbers = rng.normal(size=3)
        numbers[1] += 20 * (i >= 300)
        found += [(i, change) for _, change in changes.update(numbers[None]) if change.series == 1]
    (i, change) = next((i, change) for i, change in found if i >= 300)
    assert i < 340
    assert abs(change.before) < 3
    assert change.after == pytest.approx(20, abs=3)
    assert abs(change.blocks - (i - 299)) <= 1
    assert change.distance == 1
    assert (change.p_value is None) == (name != "kswin")
    assert len([j for j, _ in found if j >= 300]) == 1


@pytest.mark.parametrize("name", ["adwin", "page_hinkley", "hddm_w"])
def test_a_fall_counts_only_where_it_is_asked_for(name):
    numbers = np.concatenate([np.random.default_rng(5).normal(size=200), np.full(100, -9.0)])
    both, up = changes_of(name, 1, 1e6), changes_of(name, 1, 1e6, up_only=True)
    assert len(both.update(numbers[:, None])) == 1
    assert len(up.update(numbers[:, None])) == 0


def test_infinite_and_missing_numbers_do_no_harm():
    changes = changes_of("adwin", 2, 100)
    rng = np.random.default_rng(6)
    for i in range(2 * HISTORY):
        numbers = rng.normal(size=2)
        numbers[i % 2] = [np.nan, np.inf, -np.inf][i % 3]
        changes.update(numbers[None])
    assert np.isfinite(changes.shifts).all()


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=12).map(sorted))
def test_blocks_may_come_one_by_one_or_together(cuts):
    rng = np.random.default_rng(8)
    numbers = rng.normal(size=(400, 4)) + 3 * (np.arange(400) > 200)[:, None]
    numbers[rng.random((400, 4)) < 0.1] = np.nan
    cut, whole = changes_of("adwin", 4, 100), changes_of("adwin", 4, 100)
    found = []
    for start, stop in zip([0, *cuts], [*cuts, 400], strict=True):
        found += [(start + block, change) for block, change in cut.update(numbers[start:stop])]
    assert found == whole.update(numbers)
    assert found
    assert cut.describe() == whole.describe()
    assert {name: array.tobytes() for name, array in cut.state().items()} == {
        name: array.tobytes() for name, array in whole.state().items()
    }


# -- what cannot be


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "adwim"}, "unknown drift detector 'adwim'; choose one of: adwin, page_hinkley"),
        ({"false_alarm_every": 0}, "a false alarm every 0 events cannot be"),
        ({"false_alarm_every": float("nan")}, "cannot be"),
        ({"parameters": {"treshold": 3}}, "adwin has no parameter 'treshold'; it has: delta, clock"),
        ({"name": "kswin", "parameters": {"alpha": 7}}, "kswin cannot be made with {'alpha': 7}"),
    ],
)
def test_what_cannot_be_is_said(fields, message):
    with pytest.raises(SpecError) as caught:
        DetectorSpec(**fields)
    assert message in str(caught.value)


def test_rivers_own_parameters_are_used_as_they_are():
    detector = DetectorSpec("adwin", parameters={"delta": 0.01}).detector(1e9, up_only=True)
    assert (detector.delta, detector.clock) == (0.01, 1)
    assert DetectorSpec("page_hinkley", parameters={"mode": "up"}).detector(9, up_only=False).mode == "up"


# -- blocks and columns do not depend on where a stream is cut


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=20).map(sorted))
def test_blocks_are_the_same_for_any_cut(cuts):
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(300, 3)) * [1, 1e300, 1e-300]
    rows[rng.random((300, 3)) < 0.3] = np.nan
    blocks, found = Blocks(3), []
    for start, stop in zip([0, *cuts], [*cuts, 300], strict=True):
        found.append(blocks.add(rows[start:stop]))
    means, spreads = (np.concatenate(parts) for parts in zip(*found, strict=True))
    whole = Blocks(3).add(rows)
    assert (means.tobytes(), spreads.tobytes()) == (whole[0].tobytes(), whole[1].tobytes())
    assert blocks.pending == 300 % ROWS
    expected = np.nanmean(rows[:288, 0].reshape(9, ROWS), axis=1)
    assert means[:, 0] == pytest.approx(expected)


ROWS_OF_FEATURES = [
    {"a": 1, "b": True},
    {"a": None, "b": 2.5, "c": "x"},
    {"c": "y", "d": [1, 2]},
    {"a": 10**400, "c": None, "e": -(10**400)},
    {},
]


@pytest.mark.parametrize("cut", range(6))
def test_columns_are_the_names_in_the_order_they_came(cut):
    columns = FeatureColumns(50)
    first = columns.add(ROWS_OF_FEATURES[:cut])
    columns.restore(json.loads(json.dumps(columns.describe())))
    second = columns.add(ROWS_OF_FEATURES[cut:])
    assert columns.names == ["a", "b", "c", "d", "e"]
    assert columns.categories == {"c"}
    missing = np.concatenate([first[1], second[1]])
    assert missing.tolist() == pytest.approx([0, 1 / 3, 2 / 4, 3 / 5, 1])
    values = np.full((5, 5), np.nan)
    values[:cut, : first[0].shape[1]] = first[0]
    values[cut:] = second[0]
    assert values[:, 0].tolist()[::3] == [1, np.inf]
    assert values[:2, 1].tolist() == [1, 2.5]
    assert 0 <= values[1, 2] < 1
    assert values[1, 2] != values[2, 2]
    assert np.isnan(values[:, 3]).all()
    new = [(each.name, each.known) for each in first[2] + second[2]]
    assert new == [("a", 2), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]


def test_no_more_columns_than_wanted():
    columns = FeatureColumns(2)
    values, _, new = columns.add([{"a": 1}, {"b": 1, "c": 1}, {"d": 1}])
    assert (columns.names, values.shape, len(new)) == (["a", "b"], (3, 2), 2)


@pytest.mark.parametrize(
    ("names", "longest"), [("ab", 50), ("ba", 50), ("abc", 50), ("a", 50), ("", 50), ("ab", 1)], ids=str
)
def test_a_table_gives_what_its_rows_give(names, longest):
    rows = [{"a": i / 3, "b": 2**60 + i} for i in range(5)]
    table = Table(("b", "a"), np.array([[row["b"], row["a"]] for row in rows]))
    one, other = FeatureColumns(longest), FeatureColumns(longest)
    for columns in (one, other):
        columns.add([dict.fromkeys(names, 1.0)])
    for _ in range(2):
        wanted, found = one.add(rows), other.add(rows, table)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
        assert found[2] == wanted[2]
    assert other.names == one.names
