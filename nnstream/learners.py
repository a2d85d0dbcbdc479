"""What a model lets learn: one network, or the ensemble, behind one interface."""

from collections import deque
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnstream.block import Attribution, Block
from nnstream.network import Network

Array = npt.NDArray[Any]
_REMEMBERED = 64  # rows that were learned last


class Learner(Protocol):
    """What a model needs of the thing that learns."""

    def predict(self, block: Block) -> npt.NDArray[np.float32]:
        """Return float32 (n, outputs); nothing is learned."""

    def predict_then_learn(self, block: Block) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return outputs, float32 (n, outputs), and losses, float32 (n,), strictly in order."""

    def explain(self, block: Block, target: int, steps: int) -> Attribution:
        """Return what the prediction of the block's one row owes to each of its columns; see `nnstream.explain`.

        Args:
            block: of one row.
            target: class to explain, -1 the most probable one; of a regression 1.
            steps: of the integral; 0 is gradient x input.
        """

    def resize(self, columns: int, numbers: int, outputs: int, loss: str) -> None:
        """Widen; what was learned stays."""

    def set_pace(self, factor: float) -> None:
        """Multiply all learning rates by `factor` from now on; 1 is what was configured."""

    def begin_anew(self) -> None:
        """Forget what a drift has made worthless."""

    def state(self) -> dict[str, Array]:
        """Return all arrays of state; not copies."""

    def restore(self, arrays: dict[str, Array]) -> None:
        """Take over what `state` gave; raises SpecError where an array does not fit."""


class SingleNetwork:
    """One network as a learner: it looks at the encoded columns only."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._newest: deque[Block] = deque()
        self._remembered = 0

    def predict(self, block: Block) -> npt.NDArray[np.float32]:  # noqa: D102
        return self.network.predict(block.X)

    def predict_then_learn(  # noqa: D102
        self, block: Block
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if block.known.any():
            self._newest.append(block)
            self._remembered += len(block)
            while self._remembered - len(self._newest[0]) >= _REMEMBERED:
                self._remembered -= len(self._newest.popleft())
        return self.network.predict_then_learn(block.X, block.y, block.known, block.weight)

    def newest(self, count: int) -> tuple[Array, Array]:
        """Return the inputs and targets of the newest learned rows, at most `count`; no part of any state."""
        spec = self.network.spec
        blocks = [block for block in self._newest if block.X.shape[1] == spec.inputs]
        if not blocks:
            return np.empty((0, spec.inputs), np.float32), np.empty((0, 1), np.float32)
        known = [(block.X[block.known], block.y[block.known]) for block in blocks]
        rows, targets = (np.concatenate(parts)[-count:] for parts in zip(*known, strict=True))
        return rows, targets

    def explain(self, block: Block, target: int, steps: int) -> Attribution:  # noqa: D102
        contributions, ends = self.network.explain(block.X, target, steps)
        baseline, output, chosen = ends[0].tolist()
        return Attribution(contributions[0], output, baseline, int(chosen))

    def resize(self, columns: int, numbers: int, outputs: int, loss: str) -> None:  # noqa: D102
        del numbers
        self.network.resize(columns, outputs, loss)

    def set_pace(self, factor: float) -> None:  # noqa: D102
        self.network.set_pace(factor)

    def begin_anew(self) -> None:
        """Begin with fresh weights."""
        self.network = Network(self.network.spec)

    def state(self) -> dict[str, Array]:  # noqa: D102
        return self.network.state()

    def restore(self, arrays: dict[str, Array]) -> None:  # noqa: D102
        self.network.restore(arrays)
        self._newest.clear()
        self._remembered = 0
