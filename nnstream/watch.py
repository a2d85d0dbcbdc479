"""Whether the loss of a mixture has jumped."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nnstream.kernels.sparse import KEEP_EVERY

Array = npt.NDArray[Any]
CHECK_EVERY = KEEP_EVERY  # learned samples between two looks
_LARGEST_LOSS = 9.2
_PATIENCE, _JUMP, _MARGIN, _SLOW = 4, 1.5, 0.1, 0.1


class Watch:
    """Notices when the mixture's loss jumps, by comparing the last `CHECK_EVERY` samples with those before."""

    def __init__(self) -> None:
        self.numbers = np.zeros(3)  # loss since the last check, slow mean of what checks found, checks

    def add(self, losses: Array, *, regression: bool) -> None:
        """Add the losses of labelled samples, one by one: the sum must not depend on where a block was cut."""
        capped = np.minimum(np.sqrt(losses) if regression else losses, _LARGEST_LOSS)
        self.numbers[0] = np.cumsum(np.concatenate([self.numbers[:1], capped]))[-1]

    def check(self) -> bool:
        """Return whether the mean loss has jumped since the last checks."""
        now, slow, checks = self.numbers[0] / CHECK_EVERY, self.numbers[1], self.numbers[2] + 1
        jumped = bool(checks > _PATIENCE and now > _JUMP * slow + _MARGIN)
        share = 1.0 if jumped or checks == 1 else max(1 / checks, _SLOW)
        self.numbers[:] = 0.0, slow + share * (now - slow), checks
        return jumped
