"""Progressive validation without Kafka: the learner of the service on a file or a data set, as fast as it goes."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from nnstream.errors import FeatureError, LabelError
from nnstream.frozen import Embedding
from nnstream.model import Model, ModelSpec
from nnstream.outcome import Outcome
from nnstream.prequential import Prequential
from service.datasets import Sample
from service.errors import DataError

_BLOCK = 1000


def warm_up(spec: ModelSpec) -> None:
    """Compile or load the kernels, on a model that is thrown away."""
    label = 0 if spec.task == "classification" else 0.0
    Model(spec).predict_then_learn([{}], [label])


def evaluate(
    samples: Iterable[Sample], spec: ModelSpec, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Predict, then learn, every sample in order; return the score beside the baselines.

    Args:
        samples: features and labels.
        spec: of the model.
        progress: called with the number of samples done so far.

    Returns:
        `n`, `accuracy` or `mae`, `loss`, `baselines`, the kappas of a classification, `samples_per_second`
        (reading included, start-up not).

    Raises:
        DataError: a sample cannot be used; the message names it.
    """
    model = Model(spec)
    score = Prequential(spec.task)
    stream = iter(samples)
    start = time.perf_counter()
    while block := list(islice(stream, _BLOCK)):
        outcome = learn(model, block, score.count)
        labels = [label for _, label in block]
        score.update(labels, outcome.predictions(), outcome.losses.tolist())
        progress(score.count)
    seconds = time.perf_counter() - start
    return score.summary() | {"samples_per_second": round(score.count / seconds)}


def learn(model: Model, samples: Sequence[Sample], done: int) -> Outcome:
    """Predict, then learn, samples in order.

    Args:
        model: that learns.
        samples: features and labels.
        done: samples before these, for the message.

    Raises:
        DataError: a sample cannot be used; the message names it.
    """
    labels = [label for _, label in samples]
    _check(model, labels, done)
    embedding, rows = Embedding(model.spec), [features for features, _ in samples]
    if embedding.names:
        rows = embedding.rows(rows)
    outcome = model.predict_then_learn(rows, labels)
    if outcome.refused:
        i, reason = next(iter(outcome.refused.items()))
        raise DataError(f"sample {done + i + 1}: {reason}") from FeatureError(reason)
    return outcome


def _check(model: Model, labels: list[Any], done: int) -> None:
    for i, label in enumerate(labels):
        try:
            if label is not None:
                model.check_label(label)
        except LabelError as error:
            raise DataError(
                f"sample {done + i + 1}: {error}; is the task right? (--task classification or regression)"
            ) from error
