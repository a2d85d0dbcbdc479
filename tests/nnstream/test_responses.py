"""What a model does after a drift: the same for every cut and after every snapshot, soon, and only after one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnstream import responses, snapshot
from nnstream.errors import SnapshotError, SpecError
from nnstream.model import Model, ModelSpec
from nnstream.regularizers import Regularization
from nnstream.responses import ResponseSpec
from nnstream.spec import NetworkSpec

POLICIES = ("faster", "rebirth", "background")
COUNT, TURN = 2400, 1300


def spec(task, learner, policy, **fields):
    fields = {"false_alarm_every": 20_000, "warning_every": 2000} | fields
    network = NetworkSpec(
        inputs=0, hidden=(8,), loss="squared" if task == "regression" else "log",
        regularization=Regularization(clip_norm=5.0),
    )  # fmt: skip
    return ModelSpec(task=task, learner=learner, network=network, response=ResponseSpec(policy, **fields))


def stream(task, seed=0, *, turn=TURN):
    """Events whose concept turns over at `turn`; a feature and (in a classification) a class come later."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for i in range(COUNT):
        x, y = rng.normal(size=2)
        rows.append({"x": x, "y": y} | ({"late": rng.normal()} if i > 1700 else {}))
        z = (x + 0.3 * y) * (1 if i < turn else -1)
        label = z if task == "regression" else ("c" if i > 1800 and rng.random() < 0.05 else "ab"[int(z > 0)])
        labels.append(None if rng.random() < 0.1 else label)
    return rows, labels


def learned(model, rows, labels, cuts=(), start=0):
    """The losses of rows from `start` on, learned in blocks that end at `cuts`."""
    stops = [start, *(cut for cut in cuts if cut >= start), len(rows)]
    parts = [model.predict_then_learn(rows[a:b], labels[a:b]) for a, b in pairwise(stops)]
    return np.concatenate([part.losses for part in parts])


def bits(model):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in model.learner.state().items()}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("learner", ["network", "ensemble"])
@pytest.mark.parametrize("task", ["classification", "regression"])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, COUNT), max_size=20).map(sorted), at=st.integers(0, COUNT))
def test_any_cut_and_any_snapshot_give_the_same_bits(monkeypatch, task, learner, policy, cuts, at):
    monkeypatch.setattr(responses, "_MOST_BYTES_A_ROW", 10**6)  # so the ensemble learns ahead too
    rows, labels = stream(task)
    whole, cut = (Model(spec(task, learner, policy)) for _ in range(2))
    expected = learned(whole, rows, labels)
    assert learned(cut, rows, labels, cuts).tobytes() == expected.tobytes()
    assert bits(cut) == bits(whole)
    first = Model(spec(task, learner, policy))
    learned(first, rows[:at], labels[:at])
    second = snapshot.load(snapshot.dump(first), first.spec)[0]
    assert bits(second) == bits(first)
    assert learned(second, rows, labels, start=at).tobytes() == expected[at:].tobytes()
    assert bits(second) == bits(whole)


@pytest.mark.parametrize("at", range(1300, 1700, 50))
def test_a_snapshot_holds_the_learner_in_the_background(at):
    rows, labels = stream("classification")
    model = Model(spec("classification", "ensemble", "background"))
    learned(model, rows[:at], labels[:at])
    other = snapshot.load(snapshot.dump(model), model.spec)[0]
    assert (other.learner.background is None) == (model.learner.background is None)
    assert learned(other, rows, labels, start=at).tobytes() == learned(model, rows, labels, start=at).tobytes()


@pytest.mark.parametrize(
    ("policy", "task"),
    [*((policy, "classification") for policy in POLICIES), ("faster", "regression"), ("rebirth", "regression")],
)
def test_a_drift_is_answered_soon(policy, task):
    rows, labels = stream(task, 1)
    model = Model(spec(task, "ensemble", policy))
    learned(model, rows[:TURN], labels[:TURN])
    assert model.learner.responses == 0
    learned(model, rows[:1700], labels[:1700], start=TURN)
    assert model.learner.responses >= 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("learner", ["network", "ensemble"])
def test_without_a_drift_nothing_is_done(learner, policy):
    rows, labels = stream("classification", turn=COUNT)
    quiet, model = (Model(spec("classification", learner, each)) for each in ("none", policy))
    assert (
        learned(model, rows[:1700], labels[:1700]).tobytes() == learned(quiet, rows[:1700], labels[:1700]).tobytes()
    )
    assert model.learner.responses == 0


def test_the_rate_is_higher_for_a_while():
    rows, labels = stream("classification", 2)
    model = Model(spec("classification", "network", "faster", factor=3.0, lasts=200))
    rates = []
    for i in range(0, 1700, 20):
        learned(model, rows[i : i + 20], labels[i : i + 20])
        rates.append(float(model.learner.current.network._bank._hyper[0, 0]))
    usual = rates[0]
    raised = [i * 20 for i, rate in enumerate(rates) if rate == pytest.approx(3 * usual)]
    assert set(np.round(rates, 6)) == {round(usual, 6), round(3 * usual, 6)}
    assert TURN < raised[0] < TURN + 300
    assert 160 <= len(raised) * 20 <= 280
    assert rates[-1] == usual


def test_the_better_learner_takes_over():
    rows, labels = stream("classification", 3)
    model = Model(spec("classification", "ensemble", "background"))
    learned(model, rows[:TURN], labels[:TURN])
    first = model.learner.current
    learned(model, rows[:1700], labels[:1700], start=TURN)
    assert model.learner.current is not first
    assert model.learner.background is None
    assert model.member_weights()


def test_a_learner_in_the_background_that_is_no_better_goes():
    rng = np.random.default_rng(4)
    rows = [{"x": x} for x in rng.normal(size=6000)]
    labels = [bool(row["x"] > 0) != bool(rng.random() < 0.1) for row in rows]
    model = Model(spec("classification", "network", "background", lasts=300, warning_every=1000))
    seen = []
    for i in range(0, 6000, 50):
        learned(model, rows[i : i + 50], labels[i : i + 50])
        seen.append(model.learner.background is not None)
    there = [i * 50 for i, background in enumerate(seen) if background]
    assert there
    assert len(there) < 80  # each false warning has its 300 samples, and there is one in a thousand
    assert model.learner.responses == 0


@pytest.mark.parametrize("name", ["detector", "numbers", "losses", "current.params"])
def test_a_snapshot_that_lacks_something_is_refused(name):
    model = Model(spec("classification", "network", "background"))
    arrays = {key: array for key, array in model.learner.state().items() if key != name}
    with pytest.raises(SpecError, match=name.removeprefix("current.")):
        model.learner.restore(arrays)


def test_another_response_is_another_model():
    model = Model(spec("classification", "network", "background"))
    with pytest.raises(SnapshotError, match=r"model\.response\.policy was \"background\" and is now \"faster\""):
        snapshot.load(snapshot.dump(model), spec("classification", "network", "faster"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factor": 0}, "factor on the learning rate must be above 0"),
        ({"lasts": 0}, "must last at least 1 sample"),
        ({"false_alarm_every": 5, "warning_every": 9}, "warnings must come at least as often"),
    ],
)
def test_what_cannot_be_is_said(fields, message):
    with pytest.raises(SpecError, match=message):
        ResponseSpec("background", **fields)
