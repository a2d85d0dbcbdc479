"""Networks that others trained: from PyTorch, without PyTorch, and from scikit-learn.

Both give a `Network` that goes on online, or lends its lower layers to another (see `nnstream.transfer`). Its inputs
are those of the original, in the same order and on the same scale.

Example:
    >>> import numpy as np
    >>> state = {"0.weight": np.ones((4, 2)), "0.bias": np.zeros(4), "2.weight": np.ones((1, 4)), "2.bias": [-1.0]}
    >>> from_state_dict(state, activation="relu", loss="log").spec.sizes
    (2, 4, 1)
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from nnstream.errors import SnapshotDamagedError, SpecError
from nnstream.network import Network
from nnstream.optimizers import SGD, Optimizer
from nnstream.spec import NetworkSpec

Array = npt.NDArray[Any]
_SKLEARN_ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_SKLEARN_OUTPUTS = {"identity": "squared", "logistic": "log", "softmax": "cross_entropy"}


def from_state_dict(
    state: Mapping[str, Any] | str | Path, *, activation: str, loss: str, optimizer: Optimizer | None = None
) -> Network:
    """Return the network whose `Linear` layers a PyTorch `nn.Sequential` stored.

    A state dict holds no activations, so they are given here. The output layer gives scores, as PyTorch's losses take
    them (BCEWithLogitsLoss is `log`, CrossEntropyLoss is `cross_entropy`, MSELoss is `squared`).

    Args:
        state: "0.weight" (fan_out, fan_in), "0.bias" (fan_out,), "2.weight" and so on, arrays or tensors on the
            processor; or the name of a .safetensors or .npz file of them.
        activation: of all hidden layers, by name (see `nnstream.activations`).
        loss: by name (see `nnstream.losses`).
        optimizer: with which it goes on; None is SGD.

    Raises:
        SpecError: it is not a chain of `Linear` layers; the message names what does not fit.
        SnapshotDamagedError: the file is not what its name says.
    """
    arrays = _read(Path(state)) if isinstance(state, str | Path) else state
    unknown = [name for name in arrays if name.rpartition(".")[2] not in ("weight", "bias")]
    unknown += [name for name in arrays if not name.rpartition(".")[0].isdecimal() and name not in unknown]
    if unknown:
        raise SpecError(
            f"{unknown[0]!r} belongs to no Linear layer of an nn.Sequential; it has '0.weight', '0.bias', …"
        )
    layers = []
    for index in sorted({int(name.partition(".")[0]) for name in arrays}):
        if f"{index}.weight" not in arrays:
            raise SpecError(f"'{index}.weight' is missing beside '{index}.bias'")
        weights = np.asarray(arrays[f"{index}.weight"]).T
        if weights.ndim != 2:  # noqa: PLR2004
            raise SpecError(f"'{index}.weight' has the shape {weights.T.shape}; a Linear layer has (fan_out, fan_in)")
        layers.append((weights, np.asarray(arrays.get(f"{index}.bias", np.zeros(weights.shape[1])))))
    return _network(layers, activation, loss, optimizer)


def from_scikit_learn(estimator: Any, *, optimizer: Optimizer | None = None) -> Network:
    """Return the network of a fitted MLPClassifier, MLPRegressor, SGDClassifier or SGDRegressor.

    Predictions are those of `predict_proba` (of `predict` for a regression, of `decision_function` for a hinge loss);
    one `log` output is the probability of `classes_[1]`. An SGDClassifier of several classes gives one `log` output a
    class, which scikit-learn divides by their sum.

    Args:
        estimator: fitted.
        optimizer: with which it goes on; None is SGD.

    Raises:
        SpecError: it is another estimator, is not fitted, or has a loss that there is none of here.
    """
    kind = type(estimator).__name__
    if kind not in ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor"):
        raise SpecError(
            f"{kind} has no network to take; MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor have"
        )
    if not hasattr(estimator, "coefs_" if kind.startswith("MLP") else "coef_"):
        raise SpecError(f"this {kind} is not fitted; call fit or partial_fit first")
    if kind.startswith("MLP"):
        layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
        activation = _SKLEARN_ACTIVATIONS[estimator.activation]
        return _network(layers, activation, _SKLEARN_OUTPUTS[estimator.out_activation_], optimizer)
    losses = {"log_loss": "log", "hinge": "hinge"} if kind == "SGDClassifier" else {"squared_error": "squared"}
    if estimator.loss not in losses:
        raise SpecError(f"a {kind} with loss={estimator.loss!r} cannot be taken; {' and '.join(losses)} can")
    weights = np.atleast_2d(estimator.coef_).T
    return _network([(weights, estimator.intercept_)], "identity", losses[estimator.loss], optimizer)


def _network(
    layers: Sequence[tuple[Array, Array]], activation: str, loss: str, optimizer: Optimizer | None
) -> Network:
    if not layers:
        raise SpecError("there is no layer to take")
    for k, (weights, biases) in enumerate(layers):
        if biases.shape != weights.shape[1:]:
            raise SpecError(f"layer {k} has {weights.shape[1]} units, but biases of the shape {biases.shape}")
        if k > 0 and weights.shape[0] != layers[k - 1][0].shape[1]:
            raise SpecError(
                f"layer {k} takes {weights.shape[0]} values, but layer {k - 1} gives {layers[k - 1][1].size}"
            )
        if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
            raise SpecError(f"layer {k} holds parameters that are not finite numbers")
    network = Network(
        NetworkSpec(
            inputs=layers[0][0].shape[0],
            hidden=tuple(weights.shape[1] for weights, _ in layers[:-1]),
            outputs=layers[-1][0].shape[1],
            activation=activation,
            loss=loss,
            optimizer=optimizer or SGD(),
        )
    )
    for (weights, biases), (own_weights, own_biases) in zip(layers, network.layers(), strict=True):
        own_weights[:], own_biases[:] = weights, biases
    # Optimisers may remember where they started (COCOB's bets are on the distance), so the slots are made anew.
    state = network.state()
    state["slots"] = network.spec.optimizer.initial_slots(network.params).ravel()
    network.restore(state)
    return network


def _read(path: Path) -> Mapping[str, Array]:
    if path.suffix not in (".safetensors", ".npz"):
        raise SpecError(f"{path.name}: the name must end in .safetensors or .npz")
    try:
        if path.suffix == ".safetensors":
            arrays: dict[str, Array] = safetensors.numpy.load(path.read_bytes())
            return arrays
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return dict(stored)
    except (safetensors.SafetensorError, BadZipFile, ValueError, EOFError) as error:
        raise SnapshotDamagedError(f"{path.name} is not a whole {path.suffix} file: {error}") from error
