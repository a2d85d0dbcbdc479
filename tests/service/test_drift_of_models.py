"""What a model makes wanders where nothing changes: only a large and lasting change of it is an alert."""

import math

import numpy as np
import pytest

from nnstream.drift.detectors import DetectorSpec
from nnstream.drift.signals import SignalSpec
from service.monitor import Monitor, MonitorSpec, Observed


def unchanging(count, seed):
    """Batches of a stream that does not change: numbers, skewed ones, a category, missing values, late labels."""
    rng = np.random.default_rng(seed)
    for _ in range(0, count, 500):
        numbers = np.concatenate([rng.normal(size=(500, 3)), rng.lognormal(size=(500, 2))], axis=1).tolist()
        kinds = [
            "xyz"[k] if known else None
            for k, known in zip(rng.integers(0, 3, 500), rng.random(500) > 0.1, strict=True)
        ]
        rows = [
            {**dict(zip("abcde", row, strict=True)), "kind": kind} for row, kind in zip(numbers, kinds, strict=True)
        ]
        wrong = rng.random(500) < 0.03
        yield Observed(
            500, range(500), rows, rng.random(500), range(500), [0] * 500, wrong.astype(int).tolist(),
            (rng.exponential(0.05, 500) + 2 * wrong).tolist(), rng.exponential(60, 500).tolist(),
            np.full((500, 2), 0.5), [0] * 500,
        )  # fmt: skip


def test_all_signals_together_give_as_many_false_alarms_as_were_asked_for():
    every, count = 4_000, 400_000
    monitor = Monitor(MonitorSpec("classification", signals=SignalSpec(DetectorSpec("adwin", every)), cool_down=0))
    found = sum(len(monitor.observe(batch)) for batch in unchanging(count, 0))
    assert 0.5 < count / found / every < 2


@pytest.mark.parametrize(("before", "after", "found"), [(0.02, 0.3, ["error"]), (0.3, 0.02, [])])
def test_an_error_that_rises_is_an_alert_and_a_model_that_learns_is_none(before, after, found):
    rng, monitor, drifts = np.random.default_rng(0), Monitor(MonitorSpec("classification")), []
    for start in range(0, 12_000, 500):
        wrong = (rng.random(500) < (before if start < 6000 else after)).astype(int).tolist()
        drifts += monitor.observe(
            Observed(500, answer_rows=range(500), labels=[0] * 500, published=wrong, losses=[0.1] * 500,
                     delays=[math.nan] * 500, chances=np.full((500, 2), 0.5), timestamps=[0] * 500)
        )  # fmt: skip
    assert [drift.signal for drift in drifts] == found
    assert all((drift.before < 0.1, drift.after > 0.2) == (True, True) for drift in drifts)


@pytest.mark.parametrize("seed", range(3))
def test_a_rare_class_whose_probability_wanders_raises_no_alert(seed):
    """A model goes on learning: the mean of what it says moves by a tenth of a percent, and that is no drift."""
    rng, monitor = np.random.default_rng(seed), Monitor(MonitorSpec("classification"))
    said = np.clip(0.02 + np.repeat(rng.normal(0, 0.0007, 200).cumsum() % 0.02, 500), 0, 1)
    for start in range(0, 100_000, 500):
        chances = said[start : start + 500] * rng.exponential(1, 500)
        assert monitor.observe(Observed(500, range(500), [{}] * 500, chances)) == []


def test_a_class_that_is_predicted_much_more_often_is_an_alert():
    rng, monitor, drifts = np.random.default_rng(0), Monitor(MonitorSpec("classification")), []
    for start in range(0, 8_000, 500):
        drifts += monitor.observe(Observed(500, range(500), [{}] * 500, rng.beta(2, 8 if start < 5000 else 2, 500)))
    (drift,) = drifts
    assert drift.signal == "prediction"
    assert (drift.before, drift.after) == pytest.approx((0.2, 0.5), abs=0.05)
