"""The score of a prediction that was published before its label was known."""

import math
from typing import Any

import msgspec
import numpy as np

from nnstream.model import Model
from nnstream.outcome import Segment
from nnstream.schema import category_text

_decode = msgspec.json.Decoder().decode


def published_score(prediction: bytes, label: Any, model: Model) -> tuple[Any, float, tuple[float, float]]:
    """Return what was predicted, its loss now that the label is known, and the chances of the label and of itself.

    NaN stands for what there is not: without a prediction, and for the chances in a regression.

    Args:
        prediction: the published record's value.
        label: that has come.
        model: that predicted; it may have met more classes since.
    """
    body = _decode(prediction)
    said = body["prediction"]
    if said is None:
        return None, math.nan, (math.nan, math.nan)
    shares = body.get("probabilities")
    if shares is None:
        loss = model.loss_of(Segment([0], np.array([[said]], np.float64), ()), label)
        return said, loss, (math.nan, math.nan)
    classes = tuple(model.classes.known[: len(shares)])  # new ones come at the end
    loss = model.loss_of(Segment([0], np.array([list(shares.values())]), classes), label)
    return said, loss, (shares.get(category_text(label), 0.0), max(shares.values()))
