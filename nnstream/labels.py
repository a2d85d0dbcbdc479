"""Labels to targets: classes to indices and back, regression targets to a running scale and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.errors import LabelError
from nnstream.kernels.scaling import standardise_targets

Label = Any  # a class (text, whole number, true/false) or a number
NEW, UNLABELLED = -1, -2  # in place of the index of a class
_LARGEST = 1e100  # squares of larger numbers leave float64
_CLASS_TYPES = (str, int, float, np.integer, np.bool_)


class Classes:
    """The classes of a classifier, in the order in which they were declared or first seen."""

    def __init__(self, declared: Sequence[Label] = ()) -> None:
        self.known: list[Label] = []
        self._index: dict[tuple[type, Label], int] = {}
        for label in declared:
            self.add(label)

    def add(self, label: Label) -> None:
        """Append a class."""
        self._index[_class_key(label)] = self._index[type(label), label] = len(self.known)
        self.known.append(label)

    def index(self, label: Label) -> int:
        """Return the index of a class, or `NEW`."""
        found = self._index.get((type(label), label), NEW)
        return found if found >= 0 else self._index.get(_class_key(label), NEW)

    def indices(self, labels: Sequence[Label | None]) -> npt.NDArray[np.int64]:
        """Return int64 (n,): the index of each label, `NEW` for a class that is not known, `UNLABELLED` for None."""
        kinds = {type(label) for label in labels} - {type(None)}
        own: dict[Label, int] = {None: UNLABELLED}
        if len(kinds) == 1:
            kind = kinds.pop()
            own |= {label: index for (of, label), index in self._index.items() if of is kind}
            own |= {label: self.index(label) for label in set(labels).difference(own)}
        found = list(map(own.get, labels))
        if None in found:
            found = [self.index(label) if i is None else i for i, label in zip(found, labels, strict=True)]
        return np.array(found, np.int64)

    @property
    def outputs(self) -> int:
        """Return how many output units these classes need: one for up to two, else one each."""
        return 1 if len(self.known) <= 2 else len(self.known)  # noqa: PLR2004

    @property
    def loss(self) -> str:
        """Return the loss that goes with that many outputs."""
        return "log" if self.outputs == 1 else "cross_entropy"

    def loss_like(self, wanted: str) -> str:
        """Return `loss`, or what stands for it where a `hinge` or `perceptron` is wanted.

        With more than two classes the perceptron rule moves the true class and the one that won instead of it.
        """
        if wanted not in ("hinge", "perceptron"):
            return self.loss
        return "multiclass_perceptron" if wanted == "perceptron" and self.outputs > 1 else wanted

    def probabilities(self, outputs: npt.NDArray[np.float32], wanted: str) -> npt.NDArray[np.float32]:
        """Return float32 (n, classes) from a learner's outputs (n, units).

        Args:
            outputs: of the loss `loss_like(wanted)`.
            wanted: a `hinge` gives scores, whose softmax this returns; a `perceptron` decides: 1 for its class, 0 for
                any other. Every other loss gives probabilities.
        """
        match len(self.known):
            case 0:
                return outputs[:, :0]
            case 1:
                return np.ones_like(outputs)
            case 2 if wanted not in ("hinge", "perceptron"):
                return np.concatenate([1 - outputs, outputs], axis=1)
            case count if wanted in ("hinge", "perceptron"):
                scores = outputs if count > 2 else np.concatenate([np.zeros_like(outputs), outputs], axis=1)  # noqa: PLR2004
                return _softmax(scores) if wanted == "hinge" else _decided(scores)
        return outputs


def check_class(label: Label) -> None:
    """Raise a LabelError unless `label` can be a class."""
    if isinstance(label, float) and not label.is_integer():
        raise LabelError(f"label: expected a class (a text, a whole number, true or false), got {label!r}")
    if not isinstance(label, _CLASS_TYPES):
        raise LabelError(
            "label: expected a class (a text, a whole number, true or false), "
            f"got {type(label).__name__} {repr(label)[:40]}"
        )


def check_number(label: Label) -> None:
    """Raise a LabelError unless `label` is a finite number."""
    if isinstance(label, bool | np.bool_ | str) or not hasattr(label, "__float__"):
        raise LabelError(f"label: expected a number, got {type(label).__name__} {repr(label)[:40]}")
    try:
        usable = abs(float(label)) <= _LARGEST
    except OverflowError:  # a whole number of more than 308 digits
        usable = False
    if not usable:
        raise LabelError(f"label: expected a finite number of at most 1e100, got {repr(label)[:40]}")


def _softmax(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _decided(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    winners = np.zeros_like(scores)
    winners[np.arange(len(scores)), scores.argmax(axis=1)] = 1
    return winners


def _class_key(label: Label) -> tuple[type, Label]:
    """Return a key under which 1 and 1.0 are one class, but 1, "1" and true are three."""
    if isinstance(label, bool | np.bool_):
        return bool, bool(label)
    return (str, label) if isinstance(label, str) else (int, int(label))


class TargetScale:
    """Regression targets on a running scale, so that one learning rate suits grams and tonnes.

    Args:
        memory: how many labels the scale looks back; infinity takes all alike.
    """

    def __init__(self, memory: float = float("inf")) -> None:
        self.memory = memory
        self._count, self._mean, self._variance = (np.zeros(1) for _ in range(3))

    def scale(
        self, y: npt.NDArray[np.float64], has_label: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Move the scale by each label in order.

        Returns:
            For each row the centre and spread before its own label was known (float64 (n,), what its prediction
            is made with), and the scaled target (float32 (n,), what it is learned with).
        """
        centres, spreads, scaled = np.empty(len(y)), np.empty(len(y)), np.empty(len(y), np.float32)
        standardise_targets(
            y, has_label, self._count, self._mean, self._variance, self.memory, centres, spreads, scaled
        )
        return centres, spreads, scaled

    @property
    def centre(self) -> float:
        """Return the mean of the labels so far."""
        return float(self._mean[0])

    @property
    def spread(self) -> float:
        """Return the standard deviation of the labels so far."""
        return float(np.sqrt(self._variance[0]))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the statistics; not copies."""
        return {"count": self._count, "mean": self._mean, "variance": self._variance}

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._count, self._mean, self._variance = (
            arrays[name].astype(np.float64) for name in ("count", "mean", "variance")
        )
