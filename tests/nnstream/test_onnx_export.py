"""A whole model leaves as one ONNX graph: onnxruntime says of hostile events what the model says."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from nnstream.activations import Activation
from nnstream.conformal import Conformal
from nnstream.errors import FeatureError, SpecError
from nnstream.frozen import embedded
from nnstream.model import Model, ModelSpec
from nnstream.onnx_export import MISSING, export, feed
from nnstream.onnx_export.graph import Graph
from nnstream.onnx_export.text_hash import crc32
from nnstream.optimizers import Adam
from nnstream.outcome import best
from nnstream.responses import ResponseSpec
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec

HOSTILE = [1e30, -1e30, 5e-324, -5e-324, 1e-310, 1.7e308, -1.7e308, float("inf"), float("-inf"), float("nan"),
           0.0, -0.0, True, 10**400, -(10**400)]  # fmt: skip
TEXTS = ["", "NaN", "nan", "null", " ", "\x00", "a\x00", "é", "日本語", "😀", "\ufffe", "x" * 60, "\x7f\x80", "true"]
LETTERS = list("abcé日😀 \x00\n'\"0")
TOLERANCE = 1e-5
SCHEMA = {
    "a": FeatureSpec("number"), "b": FeatureSpec("number"), "vec": FeatureSpec("vector", size=3),
    "kind": FeatureSpec("category", max_categories=4, buckets=7), "hash": FeatureSpec("hashed", buckets=24),
    "flag": FeatureSpec("category"), "never": FeatureSpec("number"), "unmet": FeatureSpec("category"),
}  # fmt: skip
ADAM = NetworkSpec(inputs=0, hidden=(16,), optimizer=Adam(0.003))


class Events:
    """Events of numbers, categories of few and many values, and vectors; a share of their values is hostile."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one(self, hostile):
        rng, bad = self.rng, lambda: self.rng.random() < hostile
        row = {
            "a": self.number(hostile), "b": self.number(hostile), "constant": 1.5,
            "steps": self.number(1) if bad() else int(rng.integers(0, 4)),
            "kind": self.text() if bad() else "abcdefgh"[rng.integers(8)],
            "many": self.text() if bad() else f"m{rng.integers(90)}",
            "flag": bool(rng.integers(2)),
            "hash": self.text() if bad() else str(rng.integers(300)),
            "vec": [self.number(hostile / 3) for _ in range(3)],
            "unknown name": "ignored",
        }  # fmt: skip
        return {name: None if rng.random() < 0.05 else value for name, value in row.items() if rng.random() < 0.9}

    def number(self, hostile):
        if self.rng.random() < hostile:
            return HOSTILE[self.rng.integers(len(HOSTILE))]
        return float(self.rng.normal(3, 2))

    def text(self):
        if self.rng.random() < 0.5:
            return TEXTS[self.rng.integers(len(TEXTS))]
        return "".join(self.rng.choice(LETTERS, self.rng.integers(12)))


def learned(spec, classes, count=2500, hostile=0.01):
    """A model that has learned a stream whose labels follow its features."""
    events, model = Events(1), Model(spec)
    rows = [
        {name: each for name, each in events.one(hostile).items() if name != "unknown name"} for _ in range(count)
    ]
    merits = [_merit(row) + events.rng.normal() / 3 for row in rows]
    if spec.task == "regression":
        labels = [1e4 + 50 * merit for merit in merits]
    else:
        labels = [classes[int(np.clip((merit + 4) / 8 * len(classes), 0, len(classes) - 1))] for merit in merits]
    outcome = model.predict_then_learn(rows, labels)
    assert not outcome.refused
    return model


def _merit(row):
    a = float(row["a"]) if type(row.get("a")) is float and abs(row["a"]) < 10 else 3.0
    return a - 3 + {"a": 2, "b": -2, "c": 1}.get(row.get("kind"), 0) + (row.get("flag") or 0)


def run(stored, rows):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(stored, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feed(session.get_inputs(), rows)), strict=True))


def check(model, rows, may_tie=0):
    """Compare graph and model; return the largest difference, on the label's scale for a regression."""
    said, expected = run(export(model), rows), model.predict(rows)
    if model.is_regression:
        scaled = (expected.outputs[:, 0] - model.scale.centre) / model.scale.spread
        differences = np.abs(said["prediction"] - expected.outputs[:, 0]) / model.scale.spread
        differences /= np.maximum(1, np.abs(scaled))
    else:
        differences = np.abs(said["probabilities"] - expected.outputs).max(axis=1)
        two = np.sort(np.concatenate([expected.outputs, np.zeros((len(rows), 1))], axis=1), axis=1)[:, -2:]
        clear = two[:, 1] - two[:, 0] > 2 * TOLERANCE
        assert clear.mean() > 0.9
        got, wanted = np.array(said["prediction"], object), np.array(best(expected), object)
        assert (got[clear] == wanted[clear]).all()
    assert not np.isnan(differences).any()
    assert (differences > TOLERANCE).sum() <= may_tie
    assert expected.outputs.std(axis=0).max() > 0.01  # not one answer to all
    return said


@pytest.fixture(scope="module")
def hostile():
    events = Events(7)
    return [events.one(0.3) for _ in range(10_000)]


TWO, SEVEN = ("yes", "no"), tuple(range(7))


@pytest.mark.parametrize("learner", ["ensemble", "network"])
@pytest.mark.parametrize("features", [None, SCHEMA], ids=["inferred", "declared"])
@pytest.mark.parametrize("classes", [TWO, SEVEN, None], ids=["2 classes", "7 classes", "regression"])
def test_ten_thousand_hostile_events_give_what_the_model_gives(learner, features, classes, hostile):
    task = "classification" if classes else "regression"
    model = learned(ModelSpec(task, learner, ADAM, features=features, memory=1000), classes)
    said = check(model, hostile)
    if classes:
        assert said["classes"].tolist() == model.classes.known
        assert (said["classes"][said["probabilities"].argmax(axis=1)] == said["prediction"]).all()


@pytest.mark.parametrize("learner", ["ensemble", "network"])
@pytest.mark.parametrize("count", [1, 2, 5, 33, 300])
def test_a_young_model_leaves_as_well(learner, count, hostile):
    """Before the first quantiles bins are even, before 30 values no spread is trusted, and one class is certain."""
    events, model = Events(3), Model(ModelSpec(learner=learner, network=ADAM))
    rows = [{"a": events.number(0.1), "c": float(i > 2), "many": f"m{i}"} for i in range(count)]
    model.predict_then_learn(rows, [TWO[i % 2] for i in range(count)])
    got, expected = run(export(model), hostile[:500]), model.predict(hostile[:500])
    np.testing.assert_allclose(got["probabilities"], expected.outputs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("learner", ["ensemble", "network"])
@pytest.mark.parametrize("learn", [0, 1, 40])
@pytest.mark.parametrize("kind", ["number", "hashed", "vector"])
def test_features_of_one_kind_and_a_regression_that_knows_few_labels(learner, learn, kind):
    """A vector of 140 numbers has more of them than get bins."""
    size, rng = 140 if kind == "vector" else 0, np.random.default_rng(4)
    model = Model(ModelSpec("regression", learner, ADAM, features={"x": FeatureSpec(kind, size=size)}))
    values = {"number": 1.5, "hashed": "b", "vector": [0.5] * size}
    rows = [
        {"x": rng.normal(size=size).tolist() if size else f"{i}" if kind == "hashed" else i} for i in range(learn)
    ]
    model.predict_then_learn(rows, [float(i) for i in range(learn)])
    asked = [{"x": values[kind]}, {}, *rows]
    got, expected = run(export(model), asked)["prediction"], model.predict(asked).outputs[:, 0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * max(1, model.scale.spread))


@pytest.mark.parametrize("activation", [each.name.lower() for each in Activation])
def test_every_activation_of_a_network(activation, hostile):
    network = NetworkSpec(inputs=0, hidden=(9, 6), activation=activation, optimizer=Adam(0.003))
    check(learned(ModelSpec(network=network), SEVEN, 800), hostile[:2000], may_tie=5 if activation == "step" else 0)


@pytest.mark.parametrize("loss", ["hinge", "perceptron"])
@pytest.mark.parametrize("classes", [TWO, SEVEN], ids=["2 classes", "7 classes"])
def test_losses_that_give_scores(loss, classes, hostile):
    network = NetworkSpec(inputs=0, hidden=(9,), loss=loss, optimizer=Adam(0.003))
    check(learned(ModelSpec(network=network), classes, 800), hostile[:2000], may_tie=2)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber", "quantile"])
def test_losses_of_a_regression(loss, hostile):
    network = NetworkSpec(inputs=0, hidden=(9,), loss=loss, loss_shape=0.7, optimizer=Adam(0.003))
    check(learned(ModelSpec("regression", network=network), None, 800), hostile[:2000])


@pytest.mark.parametrize("policy", ["none", "faster", "background"])
def test_the_learner_that_predicts_is_the_one_that_leaves(policy, hostile):
    spec = ModelSpec(learner="ensemble", response=ResponseSpec(policy, false_alarm_every=500, warning_every=100))
    check(learned(spec, TWO, 1500), hostile[:1000])


def test_members_that_have_diverged_say_nothing_or_are_named(hostile):
    model = learned(ModelSpec(learner="ensemble"), SEVEN, 1500)
    parts = model.learner.networks()
    parts[0][3].hidden_bias[:] = np.nan
    parts[6][3].bias[2] = np.inf
    check(model, hostile[:1000])
    parts[3][3].bins[0] = np.nan
    with pytest.raises(
        SpecError, match=r"the member sgd-0.1-32-columns\+bins has weights that are no finite numbers"
    ):
        export(model)


@pytest.mark.parametrize("classes", [TWO, SEVEN, None], ids=["2 classes", "7 classes", "regression"])
def test_intervals_and_sets_are_those_of_the_calibration(classes, hostile):
    task = "classification" if classes else "regression"
    model, conformal = learned(ModelSpec(task, network=ADAM), classes), Conformal(0.8, regression=not classes)
    with pytest.raises(SpecError, match=r"too few labels for a confidence of 0\.8"):
        export(model, conformal)
    events = Events(2)
    rows = [events.one(0) for _ in range(300)]
    labels = [1e4 + 50 * _merit(row) if classes is None else classes[i % len(classes)] for i, row in enumerate(rows)]
    conformal.observe(model.predict_then_learn(rows, labels), labels)
    said, expected = run(export(model, conformal), hostile[:1000]), model.predict(hostile[:1000])
    regions = conformal.regions(expected)
    if classes is None:
        np.testing.assert_allclose(said["interval"], regions, rtol=1e-5, atol=1e-5 * model.scale.spread)
        assert (said["interval"][:, 1] - said["interval"][:, 0]).min() > 0
    else:
        clear = np.abs(1 - expected.outputs - conformal.reach).min(axis=1) > TOLERANCE
        held = [[known for known, inside in zip(expected.classes, row, strict=True) if inside]
                for row in said["prediction_set"]]  # fmt: skip
        assert [a for a, b in zip(held, clear, strict=True) if b] == [
            a for a, b in zip(regions, clear, strict=True) if b
        ]
        assert len({len(each) for each in held}) > 1


@pytest.mark.parametrize(
    ("classes", "kind"),
    [((True, False), bool), ((3, 1, 2), np.integer), ((1, "1", True), str), ((2**70, 1), str)],
)
def test_classes_keep_their_type(classes, kind):
    model = Model(ModelSpec(classes=classes))
    rows = [{"x": float(i % len(classes)), "y": 1.0} for i in range(300)]
    model.predict_then_learn(rows, [classes[i % len(classes)] for i in range(300)])
    said = run(export(model), rows)
    assert len(set(said["classes"])) == len(classes)
    assert all(isinstance(each, kind) or said["prediction"].dtype == kind for each in said["prediction"])
    if kind is not str:
        assert said["prediction"].tolist() == best(model.predict(rows))


@pytest.mark.parametrize(
    "rows", [[], [{}], [{"a": None, "vec": None, "kind": None}]], ids=["none", "empty", "missing"]
)
def test_blocks_of_no_event_and_events_of_nothing(rows):
    model = learned(ModelSpec(learner="ensemble"), TWO, 300)
    got, expected = run(export(model), rows), model.predict(rows)
    assert got["probabilities"].shape == expected.outputs.shape
    np.testing.assert_allclose(got["probabilities"], expected.outputs, rtol=0, atol=TOLERANCE)


def test_checksums_of_texts_are_those_of_zlib():
    rng = np.random.default_rng(5)
    letters = [chr(c) for c in (*range(0x250), 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0x10000, 0x10FFFF)]
    texts = [*TEXTS, *("".join(rng.choice(letters, rng.integers(1, 12))) for _ in range(300)), *letters]
    graph = Graph("nnstream/")
    graph.add("Identity", crc32(graph, "texts"), to="sums")
    given = helper.make_tensor_value_info("texts", TensorProto.STRING, ["n"])
    found = helper.make_tensor_value_info("sums", TensorProto.INT64, ["n"])
    body = helper.make_graph(graph.nodes, "g", [given], [found], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"texts": np.array(texts, object)})
    assert sums.tolist() == [zlib.crc32(text.encode()) for text in texts]
    (sums,) = session.run(None, {"texts": np.array(["é" * 500], object)})
    assert sums.tolist() == [zlib.crc32(("é" * 500).encode())]
    assert session.run(None, {"texts": np.array([], object)})[0].shape == (0,)


def test_the_file_says_what_it_is():
    model = learned(ModelSpec(learner="ensemble"), TWO, 300)
    stored = onnx.load_model_from_string(export(model))
    said = {each.key: each.value for each in stored.metadata_props}
    assert stored.producer_name == "nnstream"
    assert said["nnstream.samples_learned"] == "300"
    assert json.loads(said["nnstream.classes"]) == model.classes.known
    kinds = json.loads(said["nnstream.features"])
    assert list(kinds) == [each.name for each in stored.graph.input] == list(model.encoder.features)
    assert kinds["vec"] == "vector"
    assert said["nnstream.missing_category"] == MISSING
    assert len(said["nnstream.spec_sha256"]) == 64


def test_a_model_without_hashed_columns_has_no_loop():
    few = Model(ModelSpec())
    few.predict_then_learn([{"x": 1.0, "kind": "a"}, {"x": 2.0, "kind": "b"}], ["u", "v"])
    assert "Loop" not in {node.op_type for node in onnx.load_model_from_string(export(few)).graph.node}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy in float32, of 1e308 and of e to -100
@pytest.mark.parametrize("learner", ["ensemble", "network"])
@pytest.mark.parametrize("classes", [TWO, SEVEN, None], ids=["2 classes", "7 classes", "regression"])
def test_without_hashed_columns_the_reference_implementation_of_onnx_runs_it(learner, classes):
    features = {name: FeatureSpec("number") for name in ("a", "b", "steps")} | {"kind": FeatureSpec("category")}
    model = learned(
        ModelSpec("classification" if classes else "regression", learner, ADAM, features=features), classes
    )
    events, stored = Events(9), export(model)
    rows = [events.one(0.2) for _ in range(500)]
    inputs = feed(onnxruntime.InferenceSession(stored).get_inputs(), rows)
    said, expected = ReferenceEvaluator(onnx.load_model_from_string(stored)).run(None, inputs), model.predict(rows)
    if classes:
        np.testing.assert_allclose(said[1], expected.outputs, rtol=0, atol=TOLERANCE)
    else:
        scale = TOLERANCE * model.scale.spread
        np.testing.assert_allclose(said[0], expected.outputs[:, 0], rtol=TOLERANCE, atol=scale)


def test_vectors_may_be_arrays_and_hold_one_number():
    model = Model(ModelSpec())
    rows = [{"one": [float(i % 7)], "two": np.array([i % 3, 1.0])} for i in range(300)]
    model.predict_then_learn(rows, [TWO[i % 7 > 3] for i in range(300)])
    asked = [*rows, {"one": None, "two": [None, 2]}, {}]
    np.testing.assert_allclose(
        run(export(model), asked)["probabilities"], model.predict(asked).outputs, rtol=0, atol=TOLERANCE
    )


def test_what_a_frozen_network_reads_goes_in_as_its_embedding():
    base = SimpleNamespace(size=3, identity={"network": "one"})
    model, rng = Model(ModelSpec(features={"photo": embedded(base)})), np.random.default_rng(6)
    rows = [{"photo": each} for each in rng.normal(size=(200, 3)).astype(np.float32)]
    model.predict_then_learn(rows, [TWO[int(row["photo"][0] > 0)] for row in rows])
    check(model, rows)


def test_names_of_features_are_free():
    names = ["prediction", "probabilities", "classes", "interval", "nnstream/1", "nnstream/_2", "été / été", " ", 0]
    model = Model(ModelSpec())
    rows = [{name: float(i * k % 5) for k, name in enumerate(names)} for i in range(200)]
    model.predict_then_learn(rows, [TWO[i % 2] for i in range(200)])
    said = run(export(model), rows)
    assert list(said) == ["prediction_", "probabilities_", "classes_"]
    np.testing.assert_allclose(said["probabilities_"], model.predict(rows).outputs, rtol=0, atol=TOLERANCE)


def test_exporting_changes_nothing():
    model = learned(ModelSpec(task="regression", learner="ensemble"), None, 300)
    before = {name: each.tobytes() for name, each in model.learner.state().items()}
    assert export(model) == export(model)
    assert before == {name: each.tobytes() for name, each in model.learner.state().items()}


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([], [], "has met no feature"),
        ([{"x": 1.0}], [None], "has met no feature"),
        ([{"": 1.0}], ["a"], "a feature has the empty name"),
        ([{"0": 1.0}, {0: 1.0}], ["a", "b"], "two features are called '0'"),
        ([{"x": MISSING}], ["a"], "features.x: U\\+FFFF is a category here"),
    ],
)
def test_what_cannot_leave_is_refused(rows, labels, message):
    model = Model(ModelSpec())
    model.predict_then_learn(rows, labels)
    with pytest.raises(SpecError, match=message):
        export(model)


def test_a_classifier_without_a_class_is_refused():
    with pytest.raises(SpecError, match="has met no class"):
        export(Model(ModelSpec(features={"x": FeatureSpec("number")})))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": "1"}, "features.a: expected a number, got str"),
        ({"vec": [1.0]}, "features.vec: expected 3 numbers, got 1"),
        ({"a": [1.0, 2.0]}, "features.a: expected 1 numbers, got 2"),
        ({"kind": ["a"]}, "features.kind: expected a category"),
    ],
)
def test_a_value_of_another_kind_is_refused(row, message):
    stored = export(learned(ModelSpec(), TWO, 100))
    with pytest.raises(FeatureError, match=message):
        run(stored, [row])
