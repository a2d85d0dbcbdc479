"""What is learned, and how."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from nnstream.optimizers import OPTIMIZERS
from nnstream.responses import ResponseSpec
from service.settings.section import Positive, Section

Label = bool | int | float | str


def _known_optimizer(name: str) -> str:
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer; choose one of: {', '.join(sorted(OPTIMIZERS))}")
    return name


class FeatureSettings(Section):
    """One declared feature."""

    kind: Literal["number", "category", "hashed", "vector"]
    """`number` (also true/false), `category` (one column a value), `hashed`, or `vector` (a list of numbers)."""
    max_categories: Positive = 32
    """Columns of a category; values beyond them share `buckets` hashed columns."""
    buckets: Positive = 16
    """Hashed columns."""
    size: int = 0
    """Length of a vector."""


Channels = tuple[float, float, float]


class OnnxSettings(Section):
    """A declared feature that a frozen network reads: the embedding that comes out is what is learned from.

    What the network reads (an image, a vector, a text, the tokens of one) it says itself.
    """

    encoder: Literal["onnx"]
    """`onnx`."""
    model: str
    """The network: a path, or `package://NAME/PATH` of a file in an installed Python package."""
    output: str | None = None
    """Which of its outputs is the embedding; null takes the first."""
    pool: Literal["none", "mean"] | None = None
    """`mean`: the mean over all axes of that output but the last; `none`: all its numbers. null: `mean` for a network
    that reads tokens."""
    sha256: str | None = None
    """Digest that the file must have; null takes any, and every checkpoint then holds on to it."""
    height: Positive | None = None
    """Rows of an image, where the network takes any."""
    width: Positive | None = None
    """Columns of an image, where the network takes any."""
    mean: Channels = (0.485, 0.456, 0.406)
    """Of red, green and blue (0 to 1) in the images it was trained on; the default is ImageNet's."""
    std: Channels = (0.229, 0.224, 0.225)
    """Likewise the standard deviations: a pixel enters as (value / 255 - mean) / std."""
    max_bytes: Positive = 1_000_000
    """Of an encoded image; a larger one is a dead letter."""
    max_pixels: Positive = 16_000_000
    """Of an image before it is resized; one that says it has more is a dead letter, and is never unpacked."""
    tokenizer: str | None = None
    """Where it reads tokens: the tokenizer.json it was trained with; a path, or `package://NAME/PATH`."""
    max_tokens: Positive = 128
    """Tokens of a text; the rest is left out."""


def _kind_of_feature(value: Any) -> str:
    named = value.keys() if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    return "onnx" if "encoder" in named else "declared"


AnyFeature = Annotated[
    Annotated[FeatureSettings, Tag("declared")] | Annotated[OnnxSettings, Tag("onnx")],
    Discriminator(_kind_of_feature),
]


class OptimizerSettings(Section):
    """How the network's parameters move."""

    name: Annotated[str, AfterValidator(_known_optimizer)] = "sgd"
    """`sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop`, `adam`, `adamw`, `nadam`, `amsgrad`, `ftrl` or `cocob`."""
    learning_rate: float | None = None
    """Step length; null takes the optimiser's default. `cocob` has none."""


class NetworkSettings(Section):
    """The network. Inputs and outputs follow the stream."""

    hidden: tuple[Positive, ...] = (32,)
    """Units of each hidden layer; [] is a linear model."""
    activation: str = "relu"
    """`relu`, `tanh`, `sigmoid`, `identity`, `leaky_relu`, `elu`, `gelu`, `softplus` or `step`."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How the parameters move."""
    loss: Literal["squared", "absolute", "huber", "quantile"] = "squared"
    """Loss of a regression; a classification uses the log loss."""
    loss_shape: float = 1.0
    """Huber's δ (in standard deviations of the label) or the quantile τ."""
    l1: float = 0.0
    """L1 penalty on the weights."""
    l2: float = 0.0
    """L2 penalty on the weights."""
    dropout: float = 0.0
    """Share of hidden units left out while learning."""
    max_norm: float = 0.0
    """Longest incoming weight vector of a unit; 0 for no limit."""
    clip_norm: float = 5.0
    """Longest gradient; 0 for no limit. Without one a regression can run away."""
    seed: int = 0
    """Of the initial weights and of dropout."""


class ResponseSettings(Section):
    """What the model does when its loss jumps."""

    policy: Literal["auto", "none", "faster", "rebirth", "background"] = "background"
    """`background`: a second learner begins at a warning and takes over once it is the better one. `rebirth`: the
    ensemble's quick members (or the one network) begin anew. `faster`: a higher learning rate for a while. `auto`:
    the ensemble begins its quick members anew when 512 events went badly; one network does nothing. `none`."""
    detector: Literal["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"] = "page_hinkley"
    """The algorithm that notices the jump."""
    false_alarm_every: Annotated[float, Field(ge=2000)] = 100_000
    """Learned events of a stream that does not change, in which there is one needless response on average."""
    warning_every: Annotated[float, Field(ge=2000)] = 10_000
    """Likewise for needless warnings: they cost time, and change nothing."""
    factor: Annotated[float, Field(gt=0, le=100)] = 4.0
    """On the learning rate, of `faster`."""
    lasts: Positive = 1000
    """Learned events that `faster` lasts, and that the learner in the background has to become the better one."""

    @model_validator(mode="after")
    def _response_can_be(self) -> Self:
        ResponseSpec(**self.model_dump())
        return self


class ModelSettings(Section):
    """What is learned."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "default"
    """Name in predictions, metrics and checkpoints. A new name starts a new model."""
    task: Literal["classification", "regression"] = "classification"
    """`classification` (two or more classes) or `regression` (one number)."""
    classes: tuple[Label, ...] = ()
    """Classes known from the start; others are added as they appear."""
    features: dict[str, AnyFeature] | None = None
    """Declared features; other names are then ignored. null infers them from the stream."""
    memory: Annotated[float, Field(ge=2)] | None = None
    """Events that running means and spreads look back; null takes all alike."""
    confidence: Annotated[float, Field(gt=0, le=0.998)] | None = None
    """Publish with each prediction an interval or a set of classes that holds the label so often; 0.9 is nine times
    of ten. null publishes none."""
    start_from: Path | None = None
    """What `nnstream pretrain` wrote, with the same model section: a partition that nothing was committed of begins
    with it, not with a fresh model."""
    learner: Literal["ensemble", "network"] = "ensemble"
    """`ensemble`: many small networks, mixed by what they are worth; nothing to tune. `network`: the one below."""
    network: NetworkSettings = NetworkSettings()
    """The network of `learner: network`; of the ensemble only the seed."""
    response: ResponseSettings = ResponseSettings()
    """What it does when its loss jumps."""
