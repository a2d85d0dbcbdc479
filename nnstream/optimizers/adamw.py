"""AdamW."""

from dataclasses import dataclass, replace

from nnstream.optimizers._base import Numbers, require
from nnstream.optimizers.adam import Adam


@dataclass(frozen=True)
class AdamW(Adam):
    """AdamW: Adam, and w ← w - η λ w beside it, never through the moments (Loshchilov & Hutter 2019)."""

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 <= self.weight_decay * self.learning_rate < 1,
            f"weight_decay must be at least 0 and below 1 / learning_rate, not {self.weight_decay}",
        )

    def numbers(self) -> Numbers:  # noqa: D102
        return replace(super().numbers(), weight_decay=self.weight_decay)
