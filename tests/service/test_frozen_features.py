"""Declared features that a frozen ONNX network reads, from the settings to what a crash leaves."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import frozen_models
import numpy as np
import onnxruntime
import pytest
from frozen_models import encoded, image_model, photo, text_model, token_model, tokenizer
from PIL import Image
from rig import OFTEN, P0, Rig, make_settings
from test_web import client_of

from nnstream.model import Model
from service.errors import BrokerError, CheckpointError, SettingsError
from service.evaluate import evaluate
from service.frozen import located
from service.settings import load_settings
from service.testing import MemoryLog
from service.wiring import model_spec

COUNT = 60


def settings_with(path, sections=OFTEN, **more):
    """Settings of a head on the image model of `path`, with one feature beside it."""
    photo = {"encoder": "onnx", "model": str(path)} | more
    data = sections.model_dump(mode="json")
    data["model"]["features"] = {"photo": photo, "shop": {"kind": "category"}}
    return make_settings(**data)


def values(count=COUNT, late=7, bad=13):
    """Events with photos; some labels come `late` events after theirs, some photos are none."""
    rng = np.random.default_rng(4)
    out, waiting = [], {}
    for i in range(count):
        label = ("warm", "cold")[rng.integers(2)]
        features = {"photo": encoded(photo(rng, label)), "shop": "ab"[rng.integers(2)]}
        event = {"id": f"e-{i}", "features": features, "label": label}
        if i % bad == 5:
            features["photo"] = "no photo"
        elif i % 4 == 0:
            waiting[i + late] = {"id": f"e-{i}", "label": event.pop("label")}
        out.append(event)
        if i in waiting:
            out.append(waiting.pop(i))
    return [json.dumps(value).encode() for value in out]


def log_of(events):
    log = MemoryLog((P0,))
    for value in events:
        log.append(P0, value, key=b"key")
    return log


@pytest.fixture
def model(tmp_path):
    return image_model(tmp_path / "net.onnx")


def said(rig):
    return [(record.key, record.value) for record in rig.publisher.topic("predictions")]


def test_any_cut_publishes_the_same_predictions_and_leaves_the_same_bits(model):
    whole = Rig(log_of(values()), settings_with(model)).run()
    assert len(said(whole)) == COUNT - len(whole.publisher.topic("dead-letters"))
    for size in (1, 3, 17):
        again = Rig(log_of(values()), settings_with(model), batch_size=size).run()
        assert said(again) == said(whole)
        assert again.final() == whole.final()


@pytest.mark.parametrize("after", [0, 1, 2, 4])
@pytest.mark.parametrize(("part", "call"), [("publisher", "flush"), ("source", "commit"), ("source", "poll")])
def test_after_a_crash_a_head_on_a_frozen_base_is_the_same_to_the_bit(model, part, call, after):
    whole = Rig(log_of(values()), settings_with(model)).run()
    first = Rig(log_of(values()), settings_with(model), batch_size=8)
    getattr(first, part).fail(call, BrokerError("gone"), after=after)
    with pytest.raises(BrokerError):
        first.run()
    second = first.again(batch_size=5).run()
    assert second.final() == whole.final()
    for place, records in second.predictions().items():
        assert records == whole.predictions()[place]


def test_a_model_file_that_was_swapped_is_refused_by_name(model):
    first = Rig(log_of(values()), settings_with(model), batch_size=8).started(3)
    first.worker.commit()
    image_model(model, seed=1)
    with pytest.raises(CheckpointError, match=r"model\.features\.photo\.identity\.sha256 was .* and is now"):
        first.again(settings_with(model)).run()


def test_the_frozen_model_is_run_once_an_event_and_again_when_its_label_comes(model, monkeypatch):
    runs = []
    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "run", lambda *given: runs.append(given[2]["x"].shape) or run(*given)
    )
    rig = Rig(log_of(values()), settings_with(model))
    runs.clear()
    rig.run()
    refused = len(rig.publisher.topic("dead-letters"))
    late = sum(b'"features"' not in value for value in values())
    assert late > 10
    assert len(runs) == COUNT - refused + late
    assert set(runs) == {(1, 3, 12, 12)}


def test_a_head_learns_what_the_base_sees(model):
    log = log_of(values(200, bad=1000))
    rig = Rig(log, settings_with(model)).run()
    right = [
        body["prediction"] == body["label"]
        for body in (json.loads(value) for _, value in said(rig))
        if body.get("label") is not None
    ]
    assert np.mean(right[-60:]) > 0.9


# -- bad input


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side):
    """A PNG of 2 KB that says it has side x side pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 2_000_000, 9))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")).decode()


def gif():
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "GIF")
    return base64.b64encode(out.getvalue()).decode()


PNG = encoded(np.zeros((40, 40, 3), np.uint8))
BAD = {
    "no base64": ("Grüße", "expected an image in base64, got another text"),
    "no image": (base64.b64encode(b"hello").decode(), "neither a whole PNG nor a whole JPEG"),
    "another format": (gif(), "neither a whole PNG nor a whole JPEG"),
    "cut off": (base64.b64encode(base64.b64decode(PNG)[:60]).decode(), "neither a whole PNG nor a whole JPEG"),
    "a bomb": (bomb(20_000), "far more than max_pixels = 2000"),
    "a bomb that Pillow only warns of": (bomb(10_000), "more than max_pixels = 2000"),
    "a bomb that Pillow takes": (bomb(9_000), "9000 x 9000 is more than max_pixels = 2000"),
    "too many pixels": (encoded(np.zeros((60, 40, 3), np.uint8)), "40 x 60 is more than max_pixels = 2000"),
    "too many bytes": ("A" * 40_000, "more than max_bytes = 20000 bytes"),
    "wrong size": ([1, 2, 3], "expected 432 numbers, got 3"),
    "nested wrongly": ([[[1, 2, 3]] * 2], "expected 12 x 12 x 3 numbers, got 1 x 2 x 3"),
    "nested unevenly": ([[[1, 2, 3]], [[1]]], "lists of unequal length"),
    "a number": (7, "expected 12 x 12 x 3 numbers"),
    "too bright": ([256] * 432, "pixels must be between 0 and 255"),
    "a hole": ([None] * 432, "expected 432 numbers, got list"),
}


def test_what_is_no_image_is_a_dead_letter_that_says_why_and_the_stream_goes_on(model):
    good = encoded(np.full((15, 15, 3), 9, np.uint8))
    nested = [[[9] * 3] * 12] * 12
    photos = [good, *(value for value, _ in BAD.values()), [9] * 432, nested, None]
    log = log_of(
        json.dumps({"id": i, "features": {"photo": each}, "label": "x"}).encode() for i, each in enumerate(photos)
    )
    rig = Rig(log, settings_with(model, max_pixels=2000, max_bytes=20_000)).run()
    letters = [
        json.loads(dict(letter.headers)["nnstream-dead-letter"]) for letter in rig.publisher.topic("dead-letters")
    ]
    assert [letter["source"]["offset"] for letter in letters] == list(range(1, len(BAD) + 1))
    assert {letter["problem"] for letter in letters} == {"features"}
    for letter, (_, reason) in zip(letters, BAD.values(), strict=True):
        assert reason in letter["reason"]
        assert " at 0x" not in letter["reason"]
        assert letter["reason"].startswith("features.photo: ")
    assert [json.loads(value)["id"] for _, value in said(rig)] == [0, *range(len(BAD) + 1, len(BAD) + 4)]


@pytest.mark.parametrize("value", [[[[1]]], [[[1, 2], [3]]], [[1]], [[[[1]]]], [1, [[2]]]])
def test_nested_lists_are_pixels_and_nothing_else(value):
    letters = Rig(log_of([json.dumps({"features": {"x": value}, "label": 1}).encode()])).run().publisher
    (letter,) = letters.topic("dead-letters")
    reason = json.loads(dict(letter.headers)["nnstream-dead-letter"])
    assert reason["problem"] == "features"
    assert reason["reason"].startswith("features.x[")
    assert "expected a number, got" in reason["reason"]


def test_http_reads_what_events_carry_and_says_what_it_cannot_read(model):
    rig = Rig(log_of(values()), settings_with(model), batch_size=30).started(2)
    client = client_of(rig)
    picture = encoded(photo(np.random.default_rng(9), "warm"))
    answer = client.post("/predict", json={"features": {"photo": picture, "shop": "a"}, "explain": True})
    assert answer.status_code == 200
    assert answer.json()["prediction"] in ("warm", "cold")
    assert answer.json()["explanation"]["contributions"].keys() == {"photo", "shop"}
    refused = client.post("/predict", json={"features": {"photo": "no photo"}})
    assert (refused.status_code, refused.json()["detail"]) == (
        422, "features.photo: expected an image in base64, got another text"
    )  # fmt: skip


# -- settings


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"model": "none.onnx"}, "features.photo: the model none.onnx cannot be read: No such file"),
        ({"model": "package://no_such/net.onnx"}, "names no file of an installed package; install no_such"),
        ({"output": "top"}, "has no output 'top'; it has embedding"),
        ({"sha256": "00"}, "has SHA-256 .*, expected 00"),
        ({"height": 9}, "reads images of 12 x 12; leave height and width out"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_before_the_stream_begins(model, more, problem):
    with pytest.raises(SettingsError, match=problem):
        model_spec(settings_with(model, **more).model)


def test_settings_name_what_is_wrong_in_a_frozen_feature(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {features: {photo: {encoder: onnx, model: a.onnx, widht: 3}}}")
    with pytest.raises(SettingsError, match=r"model\.features\.photo\.widht: unknown setting; did you mean width\?"):
        load_settings(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("model: {features: {photo: {encoder: torch, model: a.pt}}}")
    with pytest.raises(SettingsError, match=r"model\.features\.photo\.encoder: Input should be 'onnx'"):
        load_settings(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("model: {features: {photo: {kind: number, siez: 3}}}")
    with pytest.raises(SettingsError, match=r"model\.features\.photo\.siez: unknown setting; did you mean size\?"):
        load_settings(tmp_path / "config.yaml")


def test_a_file_of_an_installed_package_is_found_without_importing_it():
    found = located("model.features.photo", "package://service/report/report.css")
    assert found == Path(__file__).parents[2] / "service" / "report" / "report.css"


def mails():
    rng = np.random.default_rng(2)
    for i in range(300):
        bad = bool(rng.integers(2))
        words = rng.choice(frozen_models.WORDS[:3] if bad else frozen_models.WORDS[3:5], 4)
        yield {"mail": " ".join([*words, f"number{i}"])}, "complaint" if bad else "praise"


@pytest.mark.parametrize("reads", ["text", "tokens"])
def test_texts_are_learned_from_without_kafka_too(tmp_path, reads):
    feature = {"encoder": "onnx", "model": str(text_model(tmp_path / "net.onnx"))}
    if reads == "tokens":
        token_model(tmp_path / "net.onnx")
        with pytest.raises(SettingsError, match=r"reads tokens; give the tokenizer\.json"):
            model_spec(make_settings(model={"features": {"mail": feature}}).model)
        feature["tokenizer"] = str(tokenizer(tmp_path / "tokenizer.json"))
    spec = model_spec(make_settings(model={"features": {"mail": feature}}).model)
    summary = evaluate(mails(), spec)
    assert summary["accuracy"] > 0.85
    assert Model(spec).encoder.width == (4 if reads == "tokens" else len(frozen_models.WORDS))
