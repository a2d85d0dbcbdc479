"""Start too large, then shrink: what keeps a network from using all the freedom it has."""

from dataclasses import dataclass

from nnstream.errors import SpecError


@dataclass(frozen=True)
class Regularization:
    """All regularisers of a network; 0 switches one off.

    Args:
        l1: adds l1 Σ|w| to the loss; drives weights to exactly 0 (Tibshirani 1996).
        l2: adds l2 Σw² / 2 to the loss; never applied to biases.
        dropout: probability with which a hidden unit is left out while learning (inverted: the rest is scaled
            up; Srivastava et al. 2014). Drawn from the seed and the sample's number, so a replay draws the same.
        max_norm: longest incoming weight vector of a unit (Srebro & Shraibman 2005).
        clip_value: largest absolute gradient component.
        clip_norm: longest gradient (Pascanu et al. 2013).
    """

    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    max_norm: float = 0.0
    clip_value: float = 0.0
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "l2", "max_norm", "clip_value", "clip_norm"):
            number = getattr(self, name)
            if not 0 <= number < float("inf"):
                raise SpecError(f"{name} must be a finite number of at least 0, not {number}")
        if not 0 <= self.dropout < 1:
            raise SpecError(f"dropout must be at least 0 and below 1, not {self.dropout}")
