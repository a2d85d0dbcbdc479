"""Labels that come later: questions and answers in log order are River's delayed progressive validation."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import evaluate, metrics
from river.stream import simulate_qa

from nnstream import snapshot
from nnstream.estimators import MLPClassifier, MLPRegressor, OnlineClassifier, OnlineRegressor, Perceptron
from nnstream.estimators.base import ModelRegressor, _shares
from nnstream.model import Model
from nnstream.optimizers import Adam

COUNT = 240
ESTIMATORS = {
    "OnlineClassifier": OnlineClassifier(seed=1),
    "OnlineRegressor": OnlineRegressor(),
    "MLPClassifier": MLPClassifier(hidden=(8,), optimizer=Adam(), dropout=0.2),
    "MLPClassifier, hinge": MLPClassifier(hidden=(6, 4), loss="hinge", memory=50.0),
    "MLPRegressor": MLPRegressor(hidden=(8,), loss="huber", memory=50.0),
    "Perceptron": Perceptron(),
}


def waits(x, y):
    """How many events later a label comes: late, early, all at once, never in the order of the questions."""
    return int(x["n"]) ** 2 % 61


DELAYS = {"none": None, "0": 0, "1": 1, "7": 7, "100": 100, "longer than the stream": 999, "of each its own": waits}
every_estimator = pytest.mark.parametrize("name", ESTIMATORS)
every_delay = pytest.mark.parametrize("delay", DELAYS)


def plain(count, *, regression):
    """Events of the same numbers, whole, and two classes: what takes the shortest way through the encoder."""
    rng = random.Random(3)
    for n in range(count):
        x = {"n": n, "u": rng.gauss(0, 1), "v": rng.gauss(5, 3)}
        yield x, x["u"] * 10 + x["v"] if regression else x["u"] > 0


def changing(count, *, regression):
    """Numbers, categories, lists; values missing in three ways; features and classes that come and go."""
    rng = random.Random(7)
    for n in range(count):
        x = {"n": n, "u": rng.gauss(0, 1), "v": rng.gauss(5, 3), "constant": 2.0}
        if n > count // 8:
            x["kind"] = rng.choice("ab" if n < count // 2 else "bcdefg")
        if n > count // 3:
            x["later"] = rng.gauss(-3, 2)
        if n > count // 2 and n % 3:
            x["pixels"] = [rng.random(), rng.random() if n % 7 else None]
        if n > count * 3 // 4:
            del x["v"]
        for name in list(x):
            if name != "n" and rng.random() < 0.1:
                x[name] = None if name in ("kind", "pixels") else rng.choice([None, math.nan])
        score = x["u"] if x["u"] is not None and not math.isnan(x["u"]) else n % 3
        classes = ["low", "high", 3, True][: 2 + 3 * n // count]
        yield x, score * 100 + n if regression else classes[int(abs(score) * 3) % len(classes)]


STREAMS = {"plain": plain, "changing": changing}


def samples(name, kind):
    return list(STREAMS[kind](COUNT, regression=isinstance(ESTIMATORS[name], ModelRegressor)))


def validated(name, events, delay):
    """What River's validation got for each question, in the order of the answers, and the estimator after it."""
    estimator = ESTIMATORS[name].clone()
    metric = metrics.MAE() if isinstance(estimator, ModelRegressor) else metrics.CrossEntropy()
    steps = evaluate.iter_progressive_val_score(
        events, estimator, metric, delay=DELAYS[delay], step=1, yield_predictions=True
    )
    return [step["Prediction"] for step in steps], estimator


def operations(events, delay):
    """The log: (number, features, None) for a question, (number, features, label) for its answer."""
    return list(simulate_qa(iter(events), None, DELAYS[delay]))


def fed(model, log, cuts=(), between=lambda model: model):
    """What blocks of the log got for each question, in the order of the answers, and the model after it."""
    said = {}
    for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
        part = log[start:stop]
        outcome = model.predict_then_learn([x for _, x, _ in part], [y for _, _, y in part])
        assert not outcome.refused
        for segment in outcome.segments:
            for i, row in zip(segment.rows, segment.outputs.tolist(), strict=True):
                number, _, y = part[i]
                if y is None:
                    classes = segment.classes
                    regression = model.spec.task == "regression"
                    said[number] = row[0] if regression else dict(zip(classes, _shares(row), strict=True))
        model = between(model)
    return [said.get(number) for number, _, y in log if y is not None], model


def new(name):
    return Model(ESTIMATORS[name].model.spec)


@every_estimator
@every_delay
@pytest.mark.parametrize("kind", STREAMS)
def test_blocks_of_the_log_are_rivers_delayed_validation(name, delay, kind):
    events = samples(name, kind)
    expected, estimator = validated(name, events, delay)
    log = operations(events, delay)
    for cuts in ([], range(7, len(log), 7)):
        found, model = fed(new(name), log, cuts)
        assert found == expected
        assert snapshot.dump(model) == snapshot.dump(estimator.model)


@every_estimator
@pytest.mark.parametrize("kind", STREAMS)
def test_labelled_events_are_validation_without_delay(name, kind):
    events = samples(name, kind)
    expected, estimator = validated(name, events, "none")
    model = new(name)
    outcome = model.predict_then_learn([x for x, _ in events], [y for _, y in events])
    found = {i: row for s in outcome.segments for i, row in zip(s.rows, s.outputs.tolist(), strict=True)}
    shares = [list(said.values()) if isinstance(said, dict) else [said] for said in expected]
    assert [found[i] if len(found[i]) == 1 else _shares(found[i]) for i in range(COUNT)] == shares
    assert snapshot.dump(model) == snapshot.dump(estimator.model)


@every_estimator
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_cut_with_a_snapshot_at_each_gives_the_same(name, data):
    log = operations(samples(name, "changing"), "of each its own")
    cuts = data.draw(st.lists(st.integers(0, len(log)), max_size=8).map(sorted))
    expected, whole = fed(new(name), log)
    found, model = fed(new(name), log, cuts, lambda model: snapshot.load(snapshot.dump(model), model.spec)[0])
    assert found == expected
    assert snapshot.dump(model) == snapshot.dump(whole)


@every_estimator
def test_questions_leave_no_trace(name):
    """The model after the log is the model after its answers alone."""
    log = operations(samples(name, "changing"), "7")
    _, asked = fed(new(name), log)
    _, silent = fed(new(name), [operation for operation in log if operation[2] is not None])
    assert snapshot.dump(asked) == snapshot.dump(silent)


@pytest.mark.parametrize("name", ["OnlineClassifier", "OnlineRegressor"])
def test_the_ensemble_places_its_bins_and_looks_for_drift_by_what_it_learned(name):
    """Long enough for new knots, looks for diverged members, and a ring that goes round, all amid questions."""
    events = list(plain(4500, regression=name == "OnlineRegressor"))
    log = operations(events, "100")
    expected, whole = fed(new(name), log)
    found, model = fed(new(name), log, [1, 63, 500, 1023, 1024, 5000, 8001])
    assert found == expected
    assert snapshot.dump(model) == snapshot.dump(whole)
    _, silent = fed(new(name), [operation for operation in log if operation[2] is not None], range(50, 4500, 50))
    assert snapshot.dump(silent) == snapshot.dump(whole)


def test_a_feature_category_or_class_is_unknown_until_it_is_learned():
    model = Model(MLPClassifier(hidden=(4,)).model.spec)
    model.predict_then_learn([{"a": float(i), "c": "x"} for i in range(9)], ["u", "v", "u"] * 3)
    without = model.predict([{"a": 3.0}]).outputs
    for row in ({"a": 3.0, "b": 1.0}, {"a": 3.0, "c": "y"}, {"a": 3.0, "d": [1.0, 2.0]}):
        asked = model.predict_then_learn([row], [None])
        assert asked.segments[0].outputs.tobytes() == without.tobytes()
    assert model.encoder.column_names == ["a", "c=x"]
    outcome = model.predict_then_learn([{"a": 3.0, "b": 1.0, "c": "y", "d": [1.0, 2.0]}], ["w"])
    assert outcome.segments[0].outputs.tobytes() == without.tobytes()
    assert outcome.segments[0].classes == ("u", "v")
    assert model.encoder.column_names == ["a", "c=x", "b", "c=y", "d[0]", "d[1]"]
    assert model.classes.known == ["u", "v", "w"]
