"""Scores counted in log order: beside the baselines, and in buckets of a window.

Equations: `nnstream.prequential`, `nnstream.quality`.
"""

import math

from nnstream.kernels._jit import jit
from nnstream.kernels.types import Doubles, Scalar, Table

NOBODY = -1  # in place of the index of a class
# state of the baselines: of a classification the last and the most frequent class, of a regression three sums
LAST, MOST = 0, 1
LATEST, TOTAL, COUNTED = 0, 1, 2
# where a bucket's sums lie: of a regression
N, ERROR, SQUARE, LABEL, LABEL_SQUARE = 0, 1, 2, 3, 4
NUMBER_SUMS = 5
# of a classification: events, right, log loss; of each class how often it was true, said, and both; of each step of
# sureness how many, how sure, and right; of each step of the second class's probability how many false, and true
RIGHT, LOG_LOSS, BY_CLASS = 1, 2, 3
CLASSES, BINS, STEPS = 32, 15, 100
BY_BIN = BY_CLASS + 3 * CLASSES
BY_STEP = BY_BIN + 3 * BINS
CLASS_SUMS = BY_STEP + 2 * STEPS


@jit
def roll(rows: Doubles, ring: Doubles, sums: Doubles, count: Table) -> None:
    """Put rows into a window, and add them to its sums one by one.

    Args:
        rows: float64 (n, series).
        ring: float64 (size, series), the newest rows.
        sums: float64 (series,), of all rows.
        count: int64 (1,), of all rows.
    """
    for i in range(rows.shape[0]):
        slot = (count[0] + i) % ring.shape[0]
        for j in range(ring.shape[1]):
            ring[slot, j] = rows[i, j]
            sums[j] += rows[i, j]
    count[0] += rows.shape[0]


@jit
def score_classes(labels: Table, predictions: Table, counts: Table, state: Table, rows: Doubles) -> None:
    """Write who was right about each label (1 or 0): the model, the last label, the most frequent one so far.

    Args:
        labels: int64 (n,), indices of classes in the order in which they first came.
        predictions: int64 (n,), likewise, or `NOBODY`.
        counts: int64 (classes,), how often each has come.
        state: int64 (2,), see the columns above.
        rows: float64 (n, 4), of which the first three columns are written.
    """
    for i in range(labels.shape[0]):
        label, most = labels[i], state[MOST]
        rows[i, 0] = 1.0 if predictions[i] == label else 0.0
        rows[i, 1] = 1.0 if state[LAST] == label else 0.0
        rows[i, 2] = 1.0 if most == label else 0.0
        counts[label] += 1
        state[LAST] = label
        if most == NOBODY or counts[label] > counts[most] or (counts[label] == counts[most] and label < most):
            state[MOST] = label


@jit
def score_numbers(labels: Doubles, predictions: Doubles, state: Doubles, rows: Doubles) -> None:
    """Write the absolute error of each: the prediction, the last label, the mean of those so far.

    Args:
        labels: float64 (n,).
        predictions: float64 (n,).
        state: float64 (3,), see the columns above.
        rows: float64 (n, 4), of which the first three columns are written.
    """
    for i in range(labels.shape[0]):
        mean = state[TOTAL] / state[COUNTED] if state[COUNTED] > 0.0 else 0.0
        rows[i, 0] = abs(predictions[i] - labels[i])
        rows[i, 1] = abs(state[LATEST] - labels[i])
        rows[i, 2] = abs(mean - labels[i])
        state[LATEST] = labels[i]
        state[TOTAL] += labels[i]
        state[COUNTED] += 1.0


@jit
def bucket_of(stretch: int, held: Table, sums: Doubles) -> Scalar:
    """Return the bucket of a stretch, emptied where it held an older one; `NOBODY` where it holds a newer one."""
    bucket = stretch % held.shape[0]
    if held[bucket] > stretch:
        return NOBODY
    if held[bucket] < stretch:
        held[bucket] = stretch
        sums[bucket, :] = 0.0
    return bucket


@jit
def tally_classes(
    stretches: Table, labels: Table, predictions: Table, chances: Doubles, surprises: Doubles, held: Table,
    sums: Doubles,
) -> None:  # fmt: skip
    """Add labelled predictions in log order; those too old for the window are left out.

    Args:
        stretches: int64 (n,), at least 0.
        labels: int64 (n,), indices of classes below `CLASSES`.
        predictions: int64 (n,), likewise.
        chances: float64 (n, 2), probability of the true class and of the predicted one; NaN where unknown.
        surprises: float64 (n,), log loss.
        held: int64 (buckets,), the stretch that each holds.
        sums: float64 (buckets, CLASS_SUMS).
    """
    for i in range(labels.shape[0]):
        bucket = bucket_of(stretches[i], held, sums)
        if bucket == NOBODY:
            continue
        true, said = labels[i], predictions[i]
        right = 1.0 if true == said else 0.0
        sums[bucket, N] += 1.0
        sums[bucket, RIGHT] += right
        sums[bucket, BY_CLASS + 3 * true] += 1.0
        sums[bucket, BY_CLASS + 3 * said + 1] += 1.0
        sums[bucket, BY_CLASS + 3 * true + 2] += right
        if math.isnan(chances[i, 0]) or math.isnan(chances[i, 1]):
            continue
        sums[bucket, LOG_LOSS] += surprises[i]
        met, sure = min(max(chances[i, 0], 0.0), 1.0), min(max(chances[i, 1], 0.0), 1.0)
        at = BY_BIN + 3 * min(int(sure * BINS), BINS - 1)
        sums[bucket, at] += 1.0
        sums[bucket, at + 1] += sure
        sums[bucket, at + 2] += right
        second = 1.0 - met if true == 0 else met
        at = BY_STEP + 2 * min(int(second * STEPS), STEPS - 1)
        sums[bucket, at + (1 if true == 1 else 0)] += 1.0


@jit
def tally_numbers(stretches: Table, labels: Doubles, predictions: Doubles, held: Table, sums: Doubles) -> None:
    """Add labelled predictions in log order; those too old for the window are left out.

    Args:
        stretches: int64 (n,), at least 0.
        labels: float64 (n,).
        predictions: float64 (n,).
        held: int64 (buckets,), the stretch that each holds.
        sums: float64 (buckets, NUMBER_SUMS).
    """
    for i in range(labels.shape[0]):
        bucket = bucket_of(stretches[i], held, sums)
        if bucket == NOBODY:
            continue
        away = predictions[i] - labels[i]
        sums[bucket, N] += 1.0
        sums[bucket, ERROR] += abs(away)
        sums[bucket, SQUARE] += away * away
        sums[bucket, LABEL] += labels[i]
        sums[bucket, LABEL_SQUARE] += labels[i] * labels[i]
