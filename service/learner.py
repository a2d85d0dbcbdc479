"""Stages 4 and 5: predict, then learn. Owns the model of one partition.

The HTTP server asks for predictions from another thread while a block is being learned; the lock makes it wait
for the end of the block, so it never sees half-updated weights.
"""

import threading
from collections.abc import Sequence
from typing import Any

from nnstream.encoder import Row
from nnstream.explain import Explanation, Method, Request
from nnstream.model import Model
from nnstream.outcome import Outcome, Segment


class Learner:
    """A model that one thread feeds and others may ask.

    Args:
        name: of the model.
        model: must not be used by others from here on.
    """

    def __init__(self, name: str, model: Model) -> None:
        self.name = name
        self.model = model
        self._lock = threading.Lock()

    def learn(self, rows: Sequence[Row], labels: Sequence[Any], explain: Request | None = None) -> Outcome:
        """Predict each event, then learn it, in order; explain the predictions that are asked for."""
        with self._lock:
            return self.model.predict_then_learn(rows, labels, explain)

    def predict(self, row: Row) -> tuple[Segment, int]:
        """Return the prediction for one event and the version of the model that made it; nothing is learned.

        Raises:
            FeatureError: the features cannot be encoded; the message names the feature.
        """
        with self._lock:
            self.model.encoder.check(row)
            return self.model.predict([row]), self.model.version

    def explain(self, row: Row, method: Method) -> Explanation:
        """Return what today's prediction for one event owes to each of its features; raises like `predict`."""
        with self._lock:
            return self.model.explain_one(row, method)
