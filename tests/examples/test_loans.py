"""The loans of docs/examples: the command passes, its reasons are its linear model's, and its check can fail."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnstream.model import Model

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "loans.py"


@pytest.fixture(scope="module")
def loans():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def stream(loans):
    return list(loans["applications"](4000))


def test_the_command_says_that_the_reasons_are_the_true_ones():
    run = subprocess.run(
        [sys.executable, SCRIPT, "--decisions", "8000"], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("passed\n")
    assert "refused, above all for" in run.stdout


def test_the_linear_models_reasons_are_its_weights_times_the_distance_from_the_mean(loans, stream):
    model = Model(loans["learners"]()["logistic neuron"])
    model.predict_then_learn([each.features for each in stream], [each.label for each in stream])
    weights = model.learner.network.params
    names = model.encoder.column_names
    for application in stream[-20:]:
        encoded = model.block_of(application.features).X[0]
        found = model.explain_one(application.features, label="default").contributions
        for column, name in enumerate(names):
            if "=" not in name:
                assert found[name] == pytest.approx(weights[column] * encoded[column], rel=1e-4, abs=1e-6)
        chosen = names.index(f"purpose={application.features['purpose']}")
        assert found["purpose"] == pytest.approx(weights[chosen], rel=1e-4)


@pytest.mark.parametrize("name", ["logistic neuron", "default ensemble"])
def test_reasons_of_other_applicants_do_not_pass_for_the_true_ones(loans, stream, name):
    checked = range(3500, 4000)
    decided = loans["decide"](loans["learners"]()[name], stream, checked)
    given = loans["against_the_average"]([decided.reasons[i] for i in checked])
    true = loans["against_the_average"]([stream[i].reasons for i in checked])
    right, first = loans["agreement"](given, true)
    swapped, swapped_first = loans["agreement"](np.roll(given, 1, axis=0), true)
    assert right > 0.9
    assert first > 0.75
    assert abs(swapped) < 0.3
    assert swapped_first < 0.5


def test_a_letter_names_what_spoke_most_against_the_loan(loans):
    average = dict.fromkeys(loans["FEATURES"], 0.0)
    reasons = average | {"income": -2.0, "late_payments": 1.5, "amount": 0.3}
    text = loans["letter"](7, reasons, average)
    assert (
        text == "  application 7: refused, above all for payments that came late; then for the amount you asked for"
    )
