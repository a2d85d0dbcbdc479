"""What a network is, before it has weights."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from nnstream.activations import Activation
from nnstream.errors import SpecError
from nnstream.initializers import INITIALIZERS
from nnstream.losses import Loss
from nnstream.optimizers import SGD, Optimizer
from nnstream.regularizers import Regularization
from nnstream.schedules import Constant, Schedule

_SMALLEST_RATE, _LARGEST_RATE = 1e-4, 1e4
_SUITED = {Activation.TANH: "glorot", Activation.SIGMOID: "glorot"}


@dataclass(frozen=True)
class NetworkSpec:
    """A fully connected network and how it learns.

    Args:
        inputs: number of input values.
        outputs: number of output units; the loss says what they mean (see `nnstream.losses`).
        hidden: units of each hidden layer, from the input on; () is a linear model.
        activation: of the hidden layers, by name (see `nnstream.activations`).
        loss: by name (see `nnstream.losses`).
        loss_shape: Huber's δ or the quantile τ; other losses ignore it.
        optimizer: how the parameters move.
        schedule: how the learning rate changes with the steps.
        regularization: penalties, dropout, norms, clipping.
        initializer: by name (see `nnstream.initializers`); None takes what suits the activation.
        batch_size: samples whose mean gradient makes one step; 1 is stochastic gradient descent.
        seed: of the initial weights and of dropout.
        layer_rates: a factor on the learning rate for each layer, the output layer included; 0 freezes the layer, and
            frozen layers below all others cost no backward pass. (): 1 for all.

    Raises:
        SpecError: a value that cannot be, with what would be right.
    """

    inputs: int
    outputs: int = 1
    hidden: tuple[int, ...] = (32,)
    activation: str = "relu"
    loss: str = "log"
    loss_shape: float = 1.0
    optimizer: Optimizer = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Constant)
    regularization: Regularization = field(default_factory=Regularization)
    initializer: str | None = None
    batch_size: int = 1
    seed: int = 0
    layer_rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        Activation.of(self.activation)
        if self.inputs < 0 or self.outputs < 1 or any(units < 1 for units in self.hidden):
            raise SpecError(
                f"a network needs inputs >= 0, outputs >= 1 and hidden layers of at least one unit, "
                f"not {self.inputs}, {self.outputs}, {self.hidden}"
            )
        if Loss.of(self.loss) in (Loss.CROSS_ENTROPY, Loss.MULTICLASS_PERCEPTRON) and self.outputs < 2:  # noqa: PLR2004
            raise SpecError("cross_entropy needs one output a class, so at least 2; for two classes log is enough")
        if self.initializer is not None and self.initializer not in INITIALIZERS:
            raise SpecError(f"initializer {self.initializer!r} is unknown; choose one of: {', '.join(INITIALIZERS)}")
        if self.batch_size < 1:
            raise SpecError(f"batch_size must be at least 1, not {self.batch_size}")
        if Loss.of(self.loss) is Loss.HUBER and not 0 < self.loss_shape < float("inf"):
            raise SpecError(f"loss_shape is Huber's δ and must be a positive finite number, not {self.loss_shape}")
        if Loss.of(self.loss) is Loss.QUANTILE and not 0 < self.loss_shape < 1:
            raise SpecError(f"loss_shape is the quantile τ and must lie between 0 and 1, not {self.loss_shape}")
        if not self.optimizer.takes_schedule and self.schedule != Constant():
            raise SpecError(f"{type(self.optimizer).__name__} sets its own rates; leave the schedule out")
        self._check_layer_rates()

    def _check_layer_rates(self) -> None:
        rates, layers = self.layer_rates, len(self.hidden) + 1
        if rates and len(rates) != layers:
            raise SpecError(f"layer_rates needs one factor a layer, {layers} with the output layer, not {len(rates)}")
        wrong = [rate for rate in rates if rate != 0 and not _SMALLEST_RATE <= rate <= _LARGEST_RATE]
        if wrong:
            raise SpecError(
                f"a factor in layer_rates is 0 (frozen) or lies between {_SMALLEST_RATE:g} and {_LARGEST_RATE:g}, "
                f"it is not {wrong[0]}"
            )
        if rates and not any(rates):
            raise SpecError("layer_rates freezes every layer, so nothing would learn; leave one above 0")
        if not self.optimizer.takes_schedule and any(rate not in (0, 1) for rate in rates):
            name = type(self.optimizer).__name__
            raise SpecError(f"{name} sets its own rates; with it a factor in layer_rates is 0 (frozen) or 1")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of values between the layers, inputs and outputs included."""
        return (self.inputs, *self.hidden, self.outputs)

    @property
    def rates(self) -> tuple[float, ...]:
        """Return the factor on the learning rate of each layer."""
        return self.layer_rates or (1.0,) * (len(self.hidden) + 1)

    @property
    def lowest_learning(self) -> int:
        """Return the index of the first layer that is not frozen."""
        return next(k for k, rate in enumerate(self.rates) if rate > 0)

    @property
    def parameter_count(self) -> int:
        """Return the number of weights and biases."""
        return sum((a + 1) * b for a, b in pairwise(self.sizes))

    def initializer_of(self, layer: int) -> str:
        """Return the initialiser of a layer (0 is the first): what suits the activation that follows it."""
        if self.initializer is not None:
            return self.initializer
        if layer == len(self.hidden):
            return "lecun"
        return _SUITED.get(Activation.of(self.activation), "he")

    def resized(self, inputs: int, outputs: int, loss: str) -> "NetworkSpec":
        """Return the same network with other inputs and outputs."""
        return replace(self, inputs=inputs, outputs=outputs, loss=loss)
