"""Learning from history, and going on from there in the service."""

import itertools

import msgspec
import numpy as np
import pytest
from rig import NETWORK, P0, Rig, make_settings
from river import datasets

from nnstream import snapshot
from nnstream.model import Model
from service.checkpoint import unpack
from service.errors import DataError, SettingsError
from service.pretrain import pretrain, read_start
from service.testing import MemoryLog
from service.wiring import first_model, model_spec

SAMPLES = [(features, int(label)) for features, label in itertools.islice(datasets.Phishing(), 1_000)]
SPEC = model_spec(make_settings().model)


def loss_on(model, samples):
    outcome = model.predict_then_learn([row for row, _ in samples], [label for _, label in samples])
    return float(np.nanmean(outcome.losses))


def test_what_history_taught_is_worth_something_at_once():
    found = pretrain(SAMPLES[:800], SPEC, passes=2)
    assert loss_on(found.model, SAMPLES[800:]) < 0.7 * loss_on(Model(SPEC), SAMPLES[800:])


def test_one_pass_is_the_stream_itself():
    found = pretrain(SAMPLES[:500], SPEC)
    wanted = Model(SPEC)
    for samples in (SAMPLES[:450], SAMPLES[450:500]):
        loss_on(wanted, samples)
    assert snapshot.dump(found.model) == snapshot.dump(wanted)
    assert (found.kept, len(found.losses)) == (1, 2)


def test_passes_end_when_they_no_longer_help_and_the_best_is_kept():
    noise = np.random.default_rng(0)
    samples = [
        ({f"x{j}": x for j, x in enumerate(noise.normal(size=20))}, int(noise.random() < 0.5)) for _ in range(60)
    ]
    spec = model_spec(make_settings(model=NETWORK | {"network": {"hidden": [32]}}).model)
    found = pretrain(samples, spec, passes=50)
    assert len(found.losses) - 1 < 50
    assert found.losses[-1] >= found.losses[found.kept] == min(found.losses[1:])
    assert found.model.version == 54 * found.kept + 6


def test_progress_and_samples_without_a_label():
    seen = []
    found = pretrain([*SAMPLES[:100], ({"x": 1.0}, None)], SPEC, passes=1, progress=seen.append)
    assert seen
    assert found.model.version == 100


def test_too_little_and_unusable_history_is_refused():
    with pytest.raises(DataError, match="19 samples with a label, fewer than 20"):
        pretrain(SAMPLES[:19], SPEC)
    with pytest.raises(DataError, match="sample 8: "):
        pretrain([*SAMPLES[:7], ({"x": [1.0, 2.0]}, 1), ({"x": [1.0]}, 1), *SAMPLES[7:50]][1:], SPEC)


def stored(tmp_path, samples=SAMPLES[:300]):
    path = tmp_path / "model.safetensors"
    path.write_bytes(snapshot.dump(pretrain(samples, SPEC).model))
    return path


def test_a_start_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"model.start_from: .*nowhere cannot be read: .*nnstream pretrain"):
        read_start(tmp_path / "nowhere", SPEC)
    path = stored(tmp_path)
    other = model_spec(make_settings(model={"network": {"hidden": [9]}}).model)
    with pytest.raises(SettingsError, match=r"model.start_from: .*configured differently: .*hidden"):
        read_start(path, other)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SettingsError, match=r"model.start_from"):
        read_start(path, SPEC)


def test_a_stream_begins_with_it_and_a_successor_needs_it_no_more(tmp_path):
    settings = make_settings(model={"start_from": str(stored(tmp_path))}, checkpoint={"every_events": 40})
    log = MemoryLog([P0])
    for features, label in SAMPLES[300:500]:
        log.append(P0, msgspec.json.encode({"features": features, "label": label}))
    wanted = first_model(settings.model, SPEC)()
    outcome = wanted.predict_then_learn(
        [row for row, _ in SAMPLES[300:500]], [label for _, label in SAMPLES[300:500]]
    )
    first = Rig(log, settings, batch_size=30, start=first_model(settings.model, SPEC)).started(steps=3)
    second = first.again(batch_size=50).run()
    bodies = {place: body for rig in (first, second) for place, (body,) in rig.predictions().items()}
    versions = [msgspec.json.decode(bodies[0, i].value)["model"]["version"] for i in range(200)]
    assert versions == outcome.versions.tolist() == list(range(300, 500))
    assert snapshot.dump(unpack(second.final(), SPEC).model) == snapshot.dump(wanted)
