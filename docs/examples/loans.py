"""A regulated decision: why was this loan refused, and are the reasons the true ones?

Applications arrive one by one; what became of the loan follows, and is learned. The chance of a default is a linear
model of the log-odds that is written down here, so the true reasons of every decision are known: what each feature
adds for this applicant, against the average one. Half way the world changes: debt begins to weigh twice as much, and
the years in a job stop to matter. Nobody tells the learner.

For the decisions at the end of each half this prints how well the reasons that nnstream gives agree with the true
ones, for a logistic neuron (a linear model that learns) and for the default learner; letters to two applicants; and
how many decisions may be left to the machine, because the prediction set with a confidence of 90 % holds one class.

    python docs/examples/loans.py [--decisions 20000]
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.conformal import Conformal, Region
from nnstream.explain import Request
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import SGD
from nnstream.spec import NetworkSpec

Doubles = npt.NDArray[np.float64]
FEATURES = ("income", "debt_ratio", "late_payments", "years_in_job", "amount", "purpose", "weekday")
WORDS = {
    "income": "your income",
    "debt_ratio": "your debts compared with your income",
    "late_payments": "payments that came late",
    "years_in_job": "how long you have had your job",
    "amount": "the amount you asked for",
    "purpose": "the purpose of the loan",
    "weekday": "the day of the week",
}
# What one standard deviation adds to the log-odds of a default, in the first and the second half.
WEIGHTS = {
    "income": (-0.9, -0.9),
    "debt_ratio": (0.8, 1.6),
    "late_payments": (1.0, 1.0),
    "years_in_job": (-0.7, 0.0),
    "amount": (0.4, 0.4),
    "weekday": (0.0, 0.0),
}
PURPOSES = {"car": -0.5, "home": -0.8, "business": 0.9, "holiday": 0.4}
DEFAULT, PAID = "default", "paid"
CHECKED = 1_000
LEAST_CORRELATION, LEAST_FIRST, COVERAGE = 0.95, 0.8, (0.88, 0.92)


class Application(NamedTuple):
    """An application, what became of it, and why: what each feature adds to the log-odds of a default."""

    features: dict[str, Any]
    label: str
    reasons: dict[str, float]


def applications(count: int, seed: int = 0) -> Iterator[Application]:
    """Applications in the order in which they come; the world changes after half of them."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        standard = dict(zip(WEIGHTS, rng.normal(size=len(WEIGHTS)).tolist(), strict=True))
        purpose = str(rng.choice(list(PURPOSES)))
        features = {
            "income": 3_000 * math.exp(0.4 * standard["income"]),
            "debt_ratio": 0.35 + 0.12 * standard["debt_ratio"],
            "late_payments": 2 + standard["late_payments"],
            "years_in_job": 8 + 4 * standard["years_in_job"],
            "amount": 15_000 + 6_000 * standard["amount"],
            "purpose": purpose,
            "weekday": standard["weekday"],
        }
        half = int(i >= count // 2)
        reasons = {name: weights[half] * standard[name] for name, weights in WEIGHTS.items()}
        reasons["purpose"] = PURPOSES[purpose]
        odds = math.exp(sum(reasons.values()) - 0.5)
        label = DEFAULT if rng.random() < odds / (1 + odds) else PAID
        yield Application(features, label, reasons)


def learners() -> dict[str, ModelSpec]:
    """A linear model that learns, and the default learner."""
    neuron = NetworkSpec(0, hidden=(), optimizer=SGD(0.02), initializer="zeros")
    return {
        "logistic neuron": ModelSpec(learner="network", network=neuron, classes=(PAID, DEFAULT)),
        "default ensemble": ModelSpec(learner="ensemble", classes=(PAID, DEFAULT)),
    }


def against_the_average(rows: Sequence[dict[str, float]]) -> Doubles:
    """Return (decisions, features): reasons less their mean; what holds for everybody is no reason."""
    table = np.array([[row[name] for name in FEATURES] for row in rows])
    return np.asarray(table - table.mean(axis=0))


def agreement(given: Doubles, true: Doubles) -> tuple[float, float]:
    """Return the mean correlation of a decision's reasons, and how often the first reason is the true one."""
    correlations = [np.corrcoef(own, other)[0, 1] for own, other in zip(given, true, strict=True)]
    first = np.abs(given).argmax(axis=1) == np.abs(true).argmax(axis=1)
    return float(np.mean(correlations)), float(first.mean())


class Decided(NamedTuple):
    """What a learner said of all applications, and why of those that are checked."""

    said: list[Any]
    regions: list[Region | None]
    reasons: dict[int, dict[str, float]]


def decide(spec: ModelSpec, stream: Sequence[Application], checked: Sequence[int]) -> Decided:
    """Predict every application, explain those to check as they are decided, then learn what became of each."""
    rows, labels = [each.features for each in stream], [each.label for each in stream]
    outcome = Model(spec).predict_then_learn(rows, labels, Request({i: rows[i] for i in checked}))
    regions = Conformal(0.9, regression=False).observe(outcome, labels)
    towards_default = {
        i: {str(name): value if each.label == DEFAULT else -value for name, value in each.contributions.items()}
        for i, each in outcome.explanations.items()
    }
    return Decided(outcome.predictions(), regions, towards_default)


def letter(number: int, reasons: dict[str, float], average: dict[str, float]) -> str:
    """Return what a refused applicant is told: the two features that spoke most against the loan."""
    worst = sorted(reasons, key=lambda name: reasons[name] - average[name], reverse=True)[:2]
    return f"  application {number}: refused, above all for {WORDS[worst[0]]}; then for {WORDS[worst[1]]}"


def letters(decided: Decided, checked: Sequence[int]) -> list[str]:
    """Return letters to the last two that were refused."""
    average = {name: float(np.mean([decided.reasons[i][name] for i in checked])) for name in FEATURES}
    refused = [i for i in checked if decided.said[i] == DEFAULT][-2:]
    return [letter(i, decided.reasons[i], average) for i in refused]


def main() -> int:
    """Print agreement, letters and coverage; the exit status says whether they are good enough."""
    parser = argparse.ArgumentParser(description="reasons of loan decisions beside the true ones")
    parser.add_argument("--decisions", type=int, default=20_000)
    count = parser.parse_args().decisions
    stream = list(applications(count))
    ends = {"before the change": range(count // 2 - CHECKED, count // 2), "after it": range(count - CHECKED, count)}
    passed = True
    print(f"{'reasons beside the true ones':<38}{'correlation':>12}{'first reason':>14}{'accuracy':>10}")
    for name, spec in learners().items():
        decided = decide(spec, stream, [i for rows in ends.values() for i in rows])
        for when, rows in ends.items():
            given = against_the_average([decided.reasons[i] for i in rows])
            true = against_the_average([stream[i].reasons for i in rows])
            correlation, first = agreement(given, true)
            right = float(np.mean([decided.said[i] == stream[i].label for i in rows]))
            passed &= correlation >= LEAST_CORRELATION and first >= LEAST_FIRST
            print(f"{f'{name}, {when}':<38}{correlation:>12.3f}{first:>14.1%}{right:>10.1%}")
    held = [each.label in region for each, region in zip(stream, decided.regions, strict=True) if region is not None]
    alone = [len(region) == 1 for region in decided.regions if region is not None]
    coverage = float(np.mean(held))
    passed &= COVERAGE[0] <= coverage <= COVERAGE[1]
    print("\n".join(letters(decided, ends["after it"])))
    print(f"sets with a confidence of 90 % held what became of the loan {coverage:.1%} of the time;")
    print(f"{np.mean(alone):.1%} of them held one answer, the other decisions go to a person")
    print("passed" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
