"""The epochs: learn every row, look at the validation loss, keep the best, stop when it no longer falls."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from nnstream.errors import SpecError
from nnstream.network import Network
from nnstream.training.history import Epoch, History
from nnstream.training.progress import told
from nnstream.training.rows import ClassWeight, Floats, Rows, as_rows, class_factors, shuffled, split, weighted

Arrays: TypeAlias = tuple[npt.ArrayLike, npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
_WHOLE_SET = 2**62  # a mini-batch that no epoch fills: its step is the one that ends the epoch


def fit(
    network: Network,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    validation: float | Arrays = 0.0,
    patience: int | None = None,
    shuffle_seed: int | None = 0,
    sample_weight: npt.ArrayLike | None = None,
    class_weight: ClassWeight | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool = False,
) -> History:
    """Train a network on arrays, in place.

    A step is w ← w - η · mean of the gradients of one mini-batch; the last one of an epoch is as large as what is
    left. The same arguments give the same bits, on every machine.

    Args:
        network: learns on from where it is; its own `spec.batch_size` stays what it was.
        X: (n, inputs).
        y: (n,) or (n, targets): a class index for cross_entropy and hinge, 0 or 1 for log and perceptron, otherwise
            one number an output.
        batch_size: 1 is stochastic gradient descent; None is batch gradient descent, one step an epoch. A larger
            mini-batch bears a larger learning rate.
        epochs: passes over the rows, at most.
        validation: rows to measure on and never to learn: a share of the rows (drawn by `shuffle_seed`; the last
            ones without it, as befits rows in the order of time), or (X, y) or (X, y, weight). 0 is none.
        patience: stop after so many epochs in a row without a new lowest validation loss; at the end, stopped or
            not, the network is put back to where that loss was lowest (Prechelt 1998). None: neither.
        shuffle_seed: each epoch takes the rows in an order drawn from this seed; None takes them as they lie.
        sample_weight: (n,), a factor on the gradient of each row.
        class_weight: a factor for each class, by its index, 1 where none is given; or "balanced", by which each
            class weighs the same in total.
        on_epoch: called after each epoch, for a log or to save the network.
        progress: show a bar on the terminal, with the losses of the last epoch.

    Returns:
        The losses of each epoch.

    Raises:
        SpecError: an argument that cannot be; the message says what would be right.
        LabelError: a class that the network has no output for.

    Example:
        >>> import numpy as np
        >>> from nnstream.spec import NetworkSpec
        >>> X = np.random.default_rng(0).normal(size=(500, 2))
        >>> network = Network(NetworkSpec(2, hidden=(), loss="squared"))
        >>> history = fit(network, X, X @ [2.0, -1.0] + 0.5, batch_size=8, epochs=20, validation=0.2, patience=3)
        >>> network.params.round(2).tolist()
        [2.0, -1.0, 0.5]
    """
    if shuffle_seed is not None and not 0 <= shuffle_seed < 2**64:
        raise SpecError(f"shuffle_seed must be a whole number from 0 to 2**64 - 1, or None, not {shuffle_seed}")
    spec = network.spec
    rows = as_rows(spec, X, y, sample_weight)
    held_out = None
    if isinstance(validation, tuple):
        held_out = as_rows(spec, *validation)
    elif validation != 0:
        rows, held_out = split(rows, validation, shuffle_seed)
    factors = class_factors(spec, rows.y, class_weight)
    rows = weighted(rows, spec, factors)

    def passes(epoch: int) -> Iterator[Rows]:
        return rows.pieces(None if shuffle_seed is None else shuffled(len(rows.X), shuffle_seed, epoch))

    held_out = held_out and weighted(held_out, spec, factors)
    return _run(network, passes, held_out, batch_size, epochs, patience, on_epoch, progress=progress)


def fit_stream(
    network: Network,
    blocks: Iterable[Arrays],
    *,
    batch_size: int | None = 32,
    epochs: int = 1,
    validation: Arrays | None = None,
    patience: int | None = None,
    class_weight: ClassWeight | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    progress: bool = False,
) -> History:
    """Train a network on blocks of rows that need not fit into memory, in place and in their order.

    How the rows are cut into blocks makes no difference: mini-batches run on across them.

    Args:
        network: as for `fit`; so are `batch_size`, `patience`, `on_epoch` and `progress`.
        blocks: each (X, y) or (X, y, weight); `nnstream.training.CSVBlocks` and `ParquetBlocks` read them from
            files. A generator gives its blocks once: more than one epoch needs a list, or an object like those.
        batch_size: 1 is stochastic gradient descent; None takes one step an epoch.
        epochs: passes over the blocks, at most.
        validation: (X, y) or (X, y, weight) to measure on and never to learn.
        patience: see `fit`.
        class_weight: a factor for each class, by its index. Not "balanced": that would need the counts beforehand.
        on_epoch: see `fit`.
        progress: see `fit`.

    Returns:
        The losses of each epoch.

    Raises:
        SpecError: an argument or a block that cannot be; the message says what would be right.
        LabelError: a class that the network has no output for.
    """
    spec = network.spec
    if epochs > 1 and isinstance(blocks, Iterator):
        raise SpecError(
            f"an iterator gives its blocks once, so it cannot last {epochs} epochs; give a list, or an object whose "
            f"__iter__ begins anew (CSVBlocks does)"
        )
    if isinstance(class_weight, str):
        raise SpecError(f"class_weight={class_weight!r} needs all rows beforehand; give a mapping, or use fit")
    factors = class_factors(spec, np.empty((0, 1), np.float32), class_weight)

    def passes(_: int) -> Iterator[Rows]:
        return (weighted(as_rows(spec, *block), spec, factors) for block in blocks)

    held_out = None if validation is None else weighted(as_rows(spec, *validation), spec, factors)
    return _run(network, passes, held_out, batch_size, epochs, patience, on_epoch, progress=progress)


def _run(
    network: Network,
    passes: Callable[[int], Iterable[Rows]],
    held_out: Rows | None,
    batch_size: int | None,
    epochs: int,
    patience: int | None,
    on_epoch: Callable[[Epoch], object] | None,
    *,
    progress: bool,
) -> History:
    if epochs < 1 or (patience is not None and patience < 1):
        raise SpecError(f"epochs and patience must be at least 1, not {epochs} and {patience}")
    if patience is not None and held_out is None:
        raise SpecError("patience watches the validation loss: give validation=0.2, or rows of its own")
    network.flush()  # what an online mini-batch had gathered is not mixed with this
    learner = network.with_batch_size(_WHOLE_SET if batch_size is None else batch_size)
    trained: list[float] = []
    validated: list[float] = []
    best = _Best(network, patience)
    with told(on_epoch, epochs, progress=progress) as tell:
        for number in range(1, epochs + 1):
            samples, loss = _learn(learner, passes(number))
            trained.append(loss)
            if held_out is not None:
                validated.append(_loss(network, held_out))
            is_best = best.watch(number, validated[-1] if validated else loss)
            tell(Epoch(number, epochs, samples, loss, validated[-1] if validated else None, is_best))
            if patience is not None and number - best.number >= patience:
                break
    best.put_back()
    return History(tuple(trained), tuple(validated), best.number, stopped_early=len(trained) < epochs)


def _learn(learner: Network, blocks: Iterable[Rows]) -> tuple[int, float]:
    """Learn one epoch; return how many rows it had and their weighted mean loss."""
    mean = _Mean()
    for rows in blocks:
        mean.add(learner.predict_then_learn(rows.X, rows.y, weight=rows.weight)[1], rows.weight)
    learner.flush()
    if not mean.count:
        raise SpecError("there are no rows to learn; an iterator or file that is used up gives none")
    return mean.count, mean.value


def _loss(network: Network, rows: Rows) -> float:
    mean = _Mean()
    for piece in rows.pieces(None):
        mean.add(network.losses(piece.X, piece.y), piece.weight)
    return mean.value


class _Best:
    """The epoch with the lowest loss, and with `patience` the state the network had after it."""

    def __init__(self, network: Network, patience: int | None) -> None:
        self.number = 0
        self._lowest = float("inf")
        self._network = network
        self._keeps = patience is not None
        self._kept: dict[str, npt.NDArray[np.generic]] = {}

    def watch(self, number: int, loss: float) -> bool:
        if not loss < self._lowest:
            return False
        self.number, self._lowest = number, loss
        if self._keeps:
            self._kept = {name: array.copy() for name, array in self._network.state().items()}
        return True

    def put_back(self) -> None:
        """Write the values into the network's own arrays: views into them stay valid, which `restore` would part."""
        for name, array in self._kept.items():
            self._network.state()[name][...] = array


class _Mean:
    """A weighted mean that adds strictly in order: however the values are cut, and on every machine, the same."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._weight = 0.0

    def add(self, values: Floats, weights: Floats) -> None:
        exact = weights.astype(np.float64)
        self.count += len(values)
        self._sum = float(np.cumsum(np.concatenate(([self._sum], values * exact)))[-1])
        self._weight = float(np.cumsum(np.concatenate(([self._weight], exact)))[-1])

    @property
    def value(self) -> float:
        return self._sum / self._weight if self._weight else float("nan")
