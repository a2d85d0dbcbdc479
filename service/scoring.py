"""The score of a prediction that was published before its label was known."""

import math
from typing import Any

import msgspec
import numpy as np

from nnstream.model import Model
from nnstream.outcome import Segment

_decode = msgspec.json.Decoder().decode


def published_score(prediction: bytes, label: Any, model: Model) -> tuple[Any, float]:
    """Return what was predicted, and the loss of it now that the label is known; NaN where nothing was predicted.

    Args:
        prediction: the published record's value.
        label: that has come.
        model: that predicted; it may have met more classes since.
    """
    body = _decode(prediction)
    said = body["prediction"]
    if said is None:
        return None, math.nan
    shares = body.get("probabilities")
    if shares is None:
        return said, model.loss_of(Segment([0], np.array([[said]], np.float64), ()), label)
    classes = tuple(model.classes.known[: len(shares)])  # new ones come at the end
    return said, model.loss_of(Segment([0], np.array([list(shares.values())]), classes), label)
