"""What a model makes wanders where nothing changes: only a large and lasting change of it is an alert."""

import math

import numpy as np
import pytest

from service.monitor import Monitor, MonitorSpec, Observed


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
