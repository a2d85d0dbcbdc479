import base64
import hashlib

import numpy as np
import pytest
from frozen_models import WORDS, encoded, text_model, token_model, tokenizer, write
from onnx import TensorProto, helper
from sklearn.datasets import load_digits

from nnstream import snapshot
from nnstream.errors import FeatureError, SnapshotMismatchError, SpecError
from nnstream.estimators import OnlineClassifier
from nnstream.frozen import Embedding, FrozenBase, ImageInput, OnnxBase, TextInput, TokenInput, VectorInput, embedded
from nnstream.frozen.detect import declared
from nnstream.model import Model, ModelSpec
from nnstream.schema import Unreadable

WEIGHTS = np.random.default_rng(7).normal(size=(64, 24)).astype(np.float32)


@pytest.fixture
def dense(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["scores"]),
        helper.make_node("Relu", ["scores"], ["hidden"]),
    ]
    return write(
        tmp_path / "dense.onnx",
        nodes,
        [("x", TensorProto.FLOAT, ["n", 64])],
        [("scores", ["n", 24]), ("hidden", ["n", 24])],
        {"W": WEIGHTS},
    )


@pytest.fixture
def pooled(tmp_path):
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["mean"])]
    return write(
        tmp_path / "pooled.onnx",
        nodes,
        [("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [("mean", ["n", 3, 1, 1])],
        {},
    )


def test_the_embedding_is_that_of_the_named_output(dense):
    x = np.random.default_rng(1).normal(size=64).astype(np.float32)
    scores = FrozenBase({"v": OnnxBase(dense, VectorInput(64))}).transform_one({"v": x.tolist()})["v"]
    hidden = FrozenBase({"v": OnnxBase(dense, VectorInput(64), output="hidden")}).transform_one({"v": x})["v"]
    np.testing.assert_allclose(scores, x @ WEIGHTS, rtol=1e-4, atol=1e-4)
    assert scores.min() < 0
    np.testing.assert_array_equal(hidden, np.maximum(scores, 0))


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 50])
def test_any_cut_gives_the_same_bits(dense, cut):
    X = np.random.default_rng(2).normal(size=(50, 64)).astype(np.float32)
    whole = OnnxBase(dense, VectorInput(64)).embed(list(X))
    base = OnnxBase(dense, VectorInput(64))
    parts = np.concatenate([base.embed(list(X[i : i + cut])) for i in range(0, 50, cut)])
    assert whole.shape == (50, 24)
    assert parts.tobytes() == whole.tobytes()


def test_another_model_is_refused_by_name(dense):
    right = hashlib.sha256(dense.read_bytes()).hexdigest()
    assert FrozenBase({"v": OnnxBase(dense, VectorInput(64), sha256=right)}).identity == {"v": right}
    with dense.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(SnapshotMismatchError, match=rf"dense\.onnx has SHA-256 .* expected {right}"):
        OnnxBase(dense, VectorInput(64), sha256=right)


def test_a_model_that_does_not_fit_is_refused(dense, tmp_path):
    with pytest.raises(SpecError, match="no output 'top'; it has scores, hidden"):
        OnnxBase(dense, VectorInput(64), output="top")
    with pytest.raises(SpecError, match=r"does not take \(63,\)"):
        OnnxBase(dense, VectorInput(63))
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        OnnxBase(tmp_path / "none.onnx", VectorInput(64))
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(SpecError, match="no ONNX model that onnxruntime can run"):
        OnnxBase(tmp_path / "text.onnx", VectorInput(64))
    two = write(
        tmp_path / "two.onnx",
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        [("a", TensorProto.FLOAT, ["n", 2]), ("b", TensorProto.FLOAT, ["n", 2])],
        [("sum", ["n", 2])],
        {},
    )
    with pytest.raises(SpecError, match=r"must have one input, tensor\(float\); it has a: .*, b: "):
        OnnxBase(two, VectorInput(2))


def test_an_image_is_normalised_channel_by_channel(pooled):
    base = FrozenBase({"photo": OnnxBase(pooled, ImageInput(8, 8))})
    pixels = np.empty((20, 30, 3), np.uint8)
    pixels[:] = (255, 0, 51)
    expected = (np.array([1, 0, 0.2]) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    out = base.transform_one({"photo": encoded(pixels), "shop": "Utrecht"})
    np.testing.assert_allclose(out["photo"], expected, rtol=1e-5)
    assert out["shop"] == "Utrecht"
    from_pixels = base.transform_one({"photo": pixels[:8, :8].tolist()})["photo"]
    np.testing.assert_array_equal(from_pixels, out["photo"])
    jpeg = base.transform_one({"photo": encoded(pixels, "JPEG")})["photo"]
    np.testing.assert_allclose(jpeg, expected, atol=0.05)


def test_channels_last_is_the_same_image_turned():
    pixels = np.random.default_rng(3).integers(0, 256, (5, 4, 3))
    first = ImageInput(5, 4).read("photo", pixels)
    last = ImageInput(5, 4, channels_first=False).read("photo", pixels)
    assert (first.shape, last.shape) == ((3, 5, 4), (5, 4, 3))
    np.testing.assert_array_equal(first.transpose(1, 2, 0), last)


PNG = encoded(np.zeros((40, 40, 3), np.uint8))
NO_IMAGES = {
    "not base64": ("Grüße!", "expected an image in base64"),
    "another text": (base64.b64encode(b"hello").decode(), "neither a whole PNG nor a whole JPEG"),
    "cut off": (base64.b64encode(base64.b64decode(PNG)[:60]).decode(), "neither a whole PNG nor a whole JPEG"),
    "a GIF": (encoded(np.zeros((4, 4, 3), np.uint8), "GIF"), "neither a whole PNG nor a whole JPEG"),
    "too many pixels": (encoded(np.zeros((41, 40, 3), np.uint8)), "40 x 41 is more than max_pixels = 1600"),
    "too many bytes": ("A" * 4000, "more than max_bytes = 2000"),
    "another size": ([[[0, 0, 0]]], "expected 8 x 8 x 3 numbers, got 1 x 1 x 3"),
    "ragged": ([[0], [0, 1]], "lists of unequal length"),
    "a number": (3, "expected 8 x 8 x 3 numbers"),
    "an object": ({"a": 1}, "expected 8 x 8 x 3 numbers, got dict"),
    "too bright": (np.full((8, 8, 3), 256).tolist(), "between 0 and 255"),
    "not finite": (np.full((8, 8, 3), np.nan).tolist(), "NaN, infinite or too large"),
    "beyond float32": (np.full((8, 8, 3), 1e300).tolist(), "NaN, infinite or too large"),
}


@pytest.mark.parametrize("case", sorted(NO_IMAGES))
def test_what_is_no_image_is_refused_with_a_reason(case):
    value, reason = NO_IMAGES[case]
    with pytest.raises(FeatureError, match=rf"features\.photo: .*{reason}"):
        ImageInput(8, 8, max_pixels=1600, max_bytes=2000).read("photo", value)


def test_an_image_at_the_limits_is_read():
    assert ImageInput(8, 8, max_pixels=1600, max_bytes=2000).read("photo", PNG).shape == (3, 8, 8)


def test_a_missing_value_stays_missing(dense):
    base = FrozenBase({"v": OnnxBase(dense, VectorInput(64))})
    assert base.transform_one({"v": None, "a": 1}) == {"v": None, "a": 1}
    assert base.transform_one({"a": 1}) == {"a": 1}


def test_pixels_may_come_flat():
    pixels = np.random.default_rng(3).integers(0, 256, (5, 4, 3))
    images = ImageInput(5, 4)
    np.testing.assert_array_equal(images.read("photo", pixels.ravel().tolist()), images.read("photo", pixels))
    with pytest.raises(FeatureError, match="expected 60 numbers, got 59"):
        images.read("photo", pixels.ravel().tolist()[:-1])


def test_a_network_that_reads_strings_gets_the_text(tmp_path):
    base = OnnxBase(text_model(tmp_path / "text.onnx"), TextInput(max_characters=40))
    counts = base.embed([base.read("mail", "late parcel late"), base.read("mail", "")])
    np.testing.assert_array_equal(counts, [[2.0, 1, 0, 0, 0, 0, 0, 0], [0.0] * len(WORDS)])
    for wrong, reason in ((3, "expected a text, got int"), ("a" * 41, "41 characters"), ("\ud800", "surrogate")):
        with pytest.raises(FeatureError, match=rf"features\.mail: .*{reason}"):
            base.read("mail", wrong)


def test_a_network_that_reads_tokens_gets_those_of_its_tokenizer_and_is_averaged(tmp_path):
    reader = TokenInput(tokenizer(tmp_path / "tokenizer.json"), max_tokens=3)
    path = token_model(tmp_path / "tokens.onnx")
    base = OnnxBase(path, reader, pool="mean")
    assert base.size == 4
    late, parcel, both, cut = base.embed(
        [base.read("mail", text) for text in ("late", "parcel", "late parcel", "late late parcel never never")]
    )
    np.testing.assert_allclose(both, (late + parcel) / 2, rtol=1e-6)
    np.testing.assert_allclose(cut, (2 * late + parcel) / 3, rtol=1e-6)
    other = TokenInput(tokenizer(tmp_path / "tokenizer.json"), max_tokens=4)
    assert OnnxBase(path, other, pool="mean").identity != base.identity
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SpecError, match=r"is no tokenizer\.json"):
        TokenInput(tmp_path / "tokenizer.json")
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        TokenInput(tmp_path / "none.json")
    with pytest.raises(SpecError, match=r"must have inputs of input_ids, .*; it has x: tensor\(string\)"):
        OnnxBase(text_model(tmp_path / "text.onnx"), reader)


def test_a_model_says_what_it_reads(tmp_path, dense, pooled):
    assert declared(dense)[:2] == ("vector", 64)
    assert declared(pooled) == ("image", None, 8, 8, True)
    assert declared(text_model(tmp_path / "text.onnx")).reads == "text"
    assert declared(token_model(tmp_path / "tokens.onnx")).reads == "tokens"
    node = helper.make_node("Relu", ["x"], ["y"])
    last = write(
        tmp_path / "a.onnx", [node], [("x", TensorProto.FLOAT, ["n", "h", 7, 3])], [("y", ["n", "h", 7, 3])], {}
    )
    assert declared(last) == ("image", None, None, 7, False)
    cube = write(tmp_path / "b.onnx", [node], [("x", TensorProto.FLOAT, ["n", 2, 2])], [("y", ["n", 2, 2])], {})
    with pytest.raises(SpecError, match=r"reads x: tensor\(float\) \['n', 2, 2\]; expected an image"):
        declared(cube)


def test_a_model_refuses_what_could_not_be_read_and_learns_the_rest(dense):
    network = OnnxBase(dense, VectorInput(64))
    model = Model(ModelSpec(features={"v": embedded(network)}))
    rows = [{"v": [float(i)] * 64} for i in range(6)]
    rows[2] = {"v": "no vector"}
    rows[4] = {"v": None}
    read = Embedding(model.spec).rows(rows)
    assert read[2]["v"] == Unreadable("features.v: expected 64 numbers, got str")
    outcome = model.predict_then_learn(read, ["a", "b"] * 3)
    assert outcome.refused == {2: "features.v: expected 64 numbers, got str"}
    assert (model.version, model.encoder.width) == (5, 24)
    with pytest.raises(FeatureError, match="expected 24 numbers, got 64"):
        model.encoder.check(rows[0])


def test_a_head_belongs_to_its_base_and_no_path_does(dense, tmp_path):
    model = Model(ModelSpec(features={"v": embedded(OnnxBase(dense, VectorInput(64)))}))
    stored = snapshot.dump(model)
    moved = dense.rename(tmp_path / "moved.onnx")
    assert snapshot.load(stored, ModelSpec(features={"v": embedded(OnnxBase(moved, VectorInput(64)))}))
    other = ModelSpec(features={"v": embedded(OnnxBase(moved, VectorInput(64), output="hidden"))})
    with pytest.raises(
        SnapshotMismatchError, match=r'features\.v\.identity\.output was "scores" and is now "hidden"'
    ):
        snapshot.load(stored, other)
    with moved.open("ab") as file:
        file.write(b"\x12\x01x")  # its producer's name, which changes no number
    swapped = ModelSpec(features={"v": embedded(OnnxBase(moved, VectorInput(64)))})
    with pytest.raises(SnapshotMismatchError, match=r"features\.v\.identity\.sha256 was"):
        snapshot.load(stored, swapped)


def test_specs_that_cannot_be_are_refused():
    for wrong in (lambda: ImageInput(0, 8), lambda: ImageInput(8, 8, std=(1, 0, 1)), lambda: VectorInput(0)):
        with pytest.raises(SpecError):
            wrong()


def test_a_head_learns_online_on_the_base_and_replays_to_the_bit(dense):
    X, y = load_digits(return_X_y=True)
    said = []
    for _ in range(2):
        model = FrozenBase({"v": OnnxBase(dense, VectorInput(64), output="hidden")}) | OnlineClassifier(seed=1)
        run = []
        for pixels, label in zip(X[:600], y[:600], strict=True):
            run.append(model.predict_proba_one({"v": pixels.tolist()}))
            model.learn_one({"v": pixels.tolist()}, int(label))
        said.append(run)
    assert said[0] == said[1]
    right = [max(p, key=p.get) == label for p, label in zip(said[0][300:], y[300:600], strict=True)]
    assert np.mean(right) > 0.6
