"""Samples as arrays: what is checked, what each one weighs, and in which order an epoch takes them."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from nnstream.errors import LabelError, SpecError
from nnstream.losses import Loss
from nnstream.spec import NetworkSpec

Floats = npt.NDArray[np.float32]
ClassWeight = Mapping[int, float] | Literal["balanced"]

_PIECE = 65_536  # rows gathered at a time: a shuffled copy of the whole set would double the memory
_SPLIT = 0  # the random stream that draws the validation rows; epoch e shuffles by stream e


class Rows(NamedTuple):
    """Samples with their weights: X float32 (n, inputs), y float32 (n, targets), weight float32 (n,)."""

    X: Floats
    y: Floats
    weight: Floats

    def take(self, index: npt.NDArray[np.int64]) -> "Rows":
        """Return the rows of that index, in that order."""
        return Rows(self.X[index], self.y[index], self.weight[index])

    def pieces(self, order: npt.NDArray[np.int64] | None) -> Iterator["Rows"]:
        """Yield all rows in that order, or as they lie, a piece at a time."""
        for start in range(0, len(self.X), _PIECE):
            stop = start + _PIECE
            if order is None:
                yield Rows(self.X[start:stop], self.y[start:stop], self.weight[start:stop])
            else:
                yield self.take(order[start:stop])


def as_rows(spec: NetworkSpec, X: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Rows:
    """Return samples as float32 arrays that the network can learn.

    Args:
        spec: the network's.
        X: (n, inputs).
        y: (n,) or (n, targets).
        weight: (n,); None is 1 each.

    Raises:
        SpecError: a shape does not fit, or a value is NaN or infinite; a negative weight.
        LabelError: a target that is none of the network's classes.
    """
    inputs = np.asarray(X, np.float32)
    targets = np.asarray(y, np.float32)
    targets = targets[:, None] if targets.ndim == 1 else targets
    n = len(inputs) if inputs.ndim else 0
    weights = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
    indexed = is_indexed(spec)
    for name, array, shape in (
        ("X", inputs, (n, spec.inputs)),
        ("y", targets, (n, 1 if indexed else spec.outputs)),
        ("the weights", weights, (n,)),
    ):
        if array.shape != shape:
            raise SpecError(f"{name} must have the shape {shape} for these {n} rows, not {array.shape}")
        finite = np.isfinite(array) if array.ndim == 1 else np.isfinite(array).all(axis=1)
        if not finite.all():
            raise SpecError(
                f"{name}: {np.count_nonzero(~finite)} of {n} rows hold NaN or infinity, the first is row "
                f"{np.flatnonzero(~finite)[0]}; fill them or leave them out"
            )
    if (weights < 0).any():
        raise SpecError(f"a weight must be at least 0, not {weights.min()}")
    labels = label_count(spec)
    wrong = (targets < 0) | (targets >= labels) | (targets != np.floor(targets)) if labels else np.zeros(1, np.bool_)
    if wrong.any():
        raise LabelError(
            f"a label is a whole number from 0 to {labels - 1} for this network ({spec.outputs} outputs, "
            f"{spec.loss}), not {targets[wrong][0]}"
        )
    return Rows(inputs, targets, weights)


def is_indexed(spec: NetworkSpec) -> bool:
    """Return whether a target is one class index, whatever the number of outputs."""
    return Loss.of(spec.loss).is_indexed(2)


def label_count(spec: NetworkSpec) -> int:
    """Return how many values a target may have: 0, 1, … up to one less; 0 is for any number."""
    if is_indexed(spec):
        return max(spec.outputs, 2)
    return 2 if Loss.of(spec.loss) in (Loss.LOG, Loss.PERCEPTRON) else 0


def is_classification(spec: NetworkSpec) -> bool:
    """Return whether a target is one class: not a number to meet, nor several labels that may hold together."""
    return is_indexed(spec) or (spec.outputs == 1 and label_count(spec) > 0)


def class_factors(spec: NetworkSpec, y: Floats, class_weight: ClassWeight | None) -> Floats:
    """Return float32 (classes,): what the weight of a sample of each class is multiplied by.

    "balanced" is n / (classes present · samples of the class), as scikit-learn has it: each class weighs the same
    in total, and the mean weight is 1.

    Raises:
        SpecError: the network does not classify, or a weight is not a finite number of at least 0.
    """
    classes = max(spec.outputs, 2)
    factors = np.ones(classes, np.float32)
    if class_weight is None:
        return factors
    if not is_classification(spec):
        raise SpecError(f"class_weight needs classes; {spec.outputs} outputs of {spec.loss} are none: sample_weight")
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise SpecError(f'class_weight is a mapping from class to weight, or "balanced", not {class_weight!r}')
        counts = np.bincount(y[:, 0].astype(np.int64), minlength=classes)
        present = counts > 0
        factors[present] = len(y) / (np.count_nonzero(present) * counts[present])
        return factors
    for name, weight in class_weight.items():
        if name not in range(classes) or not 0 <= weight < float("inf"):
            raise SpecError(
                f"class_weight needs classes from 0 to {classes - 1} and finite weights of at least 0, "
                f"not {name!r}: {weight!r}"
            )
        factors[name] = weight
    return factors


def weighted(rows: Rows, spec: NetworkSpec, factors: Floats) -> Rows:
    """Return the rows with their weights multiplied by what their class weighs."""
    if not is_classification(spec):
        return rows
    return rows._replace(weight=rows.weight * factors[rows.y[:, 0].astype(np.int64)])


def shuffled(n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return int64 (n,): the order in which `epoch` takes the rows, the same on every machine.

    Sorts the output of Philox, a generator that is a function of (key, counter) (Salmon et al. 2011); NumPy keeps
    its bits fixed, as it does not for its own `permutation`.
    """
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(bits, kind="stable")


def split(rows: Rows, share: float, seed: int | None) -> tuple[Rows, Rows]:
    """Return rows to train on and rows to validate on: drawn by the seed, or without one the last.

    Raises:
        SpecError: the share is not in [0, 1), or leaves one side empty.
    """
    n = len(rows.X)
    held_out = round(n * share) if 0 < share < 1 else 0
    if not 0 < held_out < n:
        raise SpecError(f"validation is a share between 0 and 1 that leaves rows on both sides, not {share} of {n}")
    order = np.arange(n) if seed is None else shuffled(n, seed, _SPLIT)
    return rows.take(np.sort(order[: n - held_out])), rows.take(np.sort(order[n - held_out :]))
