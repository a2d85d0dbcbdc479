"""A snapshot says which model it holds: its spec comes back without the configuration."""

import json
from dataclasses import fields

import pytest

from nnstream import schedules, snapshot
from nnstream.errors import SnapshotDamagedError, SnapshotMismatchError
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import OPTIMIZERS, Adam
from nnstream.regularizers import Regularization
from nnstream.responses import ResponseSpec
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec
from nnstream.stored_specs import model_spec

PLANS = [schedules.Constant(warmup=3), schedules.StepDecay(), schedules.InverseTime(), schedules.Exponential(),
         schedules.Cosine()]  # fmt: skip
SPECS = [
    ModelSpec(),
    ModelSpec("regression", "ensemble", memory=500.0),
    ModelSpec(classes=("inf", 3, True), features={"x": FeatureSpec("vector", size=4), "is": FeatureSpec("category")}),
    ModelSpec(response=ResponseSpec("background", lasts=7, false_alarm_every=50_000.0)),
    ModelSpec(
        network=NetworkSpec(0, hidden=(3, 2), layer_rates=(0.0, 0.5, 1.0), regularization=Regularization(l2=0.1))
    ),
    *(ModelSpec(network=NetworkSpec(0, schedule=each)) for each in PLANS),
    *(ModelSpec(network=NetworkSpec(0, optimizer=each())) for each in OPTIMIZERS.values()),
]


@pytest.mark.parametrize("spec", SPECS, ids=range(len(SPECS)))
def test_every_spec_comes_back(spec):
    stored = snapshot.dump(Model(spec))
    again = model_spec(snapshot.read_spec(stored))
    assert again == spec
    assert snapshot.load(stored, again)[0].spec == spec


def test_every_kind_of_schedule_is_known():
    assert {type(each) for each in PLANS} == set(schedules.Schedule.__subclasses__())


def test_what_another_version_described_is_refused():
    described = snapshot.describe_spec(ModelSpec(network=NetworkSpec(0, optimizer=Adam())))
    missing = json.loads(json.dumps(described))
    del missing["memory"]
    with pytest.raises(SnapshotMismatchError, match="ModelSpec has memory in one of the two"):
        model_spec(missing)
    for changes, message in (
        (
            {"network": described["network"] | {"optimizer": {"is": "Lion"}}},
            "Lion does not follow from its description; give the settings",
        ),
        ({"network": described["network"] | {"hidden": [0]}}, "hidden layers of at least one unit"),
    ):
        with pytest.raises(SnapshotMismatchError, match=message):
            model_spec(described | changes)
    with pytest.raises(SnapshotMismatchError, match="holds no model"):
        model_spec(described["network"])
    assert len(described) == len(fields(ModelSpec)) + 1


def test_damaged_bytes_have_no_spec():
    with pytest.raises(SnapshotDamagedError):
        snapshot.read_spec(snapshot.dump(Model(ModelSpec()))[:-1])
