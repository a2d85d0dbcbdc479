"""The score of a prediction that was published before its label was known."""

import math
from typing import Any

import msgspec

from nnstream.losses import LARGEST_LOG_LOSS, Loss, residual_loss
from nnstream.model import ModelSpec
from nnstream.schema import category_text

_decode = msgspec.json.Decoder().decode


def published_score(prediction: bytes, label: Any, spec: ModelSpec) -> tuple[Any, float]:
    """Return what was predicted, and the loss of it now that the label is known.

    Args:
        prediction: the published record's value.
        label: that has come.
        spec: of the model.
    """
    body = _decode(prediction)
    if spec.task == "regression":
        if body["prediction"] is None:
            return None, math.nan
        residual = body["prediction"] - float(label)
        kind = Loss.of(spec.network.loss if spec.learner == "network" else "squared")
        return body["prediction"], float(residual_loss(kind, residual, spec.network.loss_shape))
    probabilities = body.get("probabilities", {})
    if not probabilities:
        return None, math.nan
    return body["prediction"], _class_loss(probabilities, category_text(label), spec)


def _class_loss(probabilities: dict[str, float], label: str, spec: ModelSpec) -> float:
    true = probabilities.get(label, 0.0)
    rival = max((p for name, p in probabilities.items() if name != label), default=0.0)
    wanted = spec.network.loss if spec.learner == "network" else "log"
    if wanted == "perceptron":  # it decides: what it says is certain
        return float(true <= rival)
    log_true, log_rival = (max(math.log(p) if p > 0 else -math.inf, -LARGEST_LOG_LOSS) for p in (true, rival))
    return max(0.0, 1 - (log_true - log_rival)) if wanted == "hinge" else -log_true
