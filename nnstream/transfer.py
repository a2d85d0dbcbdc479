"""Transfer learning: keep the lower layers of a trained network, put new ones on top, go on online.

Lower layers have learned what is in the data, upper ones what was asked about it (Yosinski et al. 2014, "How
transferable are features in deep neural networks?"). So the upper ones are replaced, and the lower ones are frozen,
or learn more slowly. Frozen layers below all others cost no backward pass; `Network.set_layer_rates` thaws them.

Example:
    >>> from nnstream.network import Network
    >>> from nnstream.spec import NetworkSpec
    >>> trained = Network(NetworkSpec(inputs=8, hidden=(64, 32), outputs=5, loss="cross_entropy"))
    >>> student = transfer(trained, cut=1, hidden=(16,), outputs=3, loss="cross_entropy")
    >>> student.spec.sizes, student.spec.layer_rates
    ((8, 64, 32, 16, 3), (0.0, 0.0, 1.0, 1.0))
    >>> student.set_layer_rates(0.0, 0.1, 1.0, 1.0)  # later: the second layer learns again, slowly
"""

from dataclasses import replace

from nnstream.errors import SpecError
from nnstream.network import Network
from nnstream.optimizers import Optimizer


def transfer(
    source: Network,
    *,
    cut: int = 1,
    hidden: tuple[int, ...] = (),
    outputs: int = 1,
    loss: str = "log",
    kept_rate: float = 0.0,
    optimizer: Optimizer | None = None,
) -> Network:
    """Return a network of the lower layers of `source` and of new ones above; `source` stays as it is.

    Args:
        source: trained; its optimiser state is not taken over.
        cut: layers to drop from the top, the output layer is the first of them; 1 or more.
        hidden: units of each new hidden layer.
        outputs: units of the new output layer.
        loss: of the new network, by name.
        kept_rate: factor on the learning rate of all kept layers; 0 freezes them.
        optimizer: of the new network; None takes that of `source`.

    Raises:
        SpecError: there are not so many layers to cut, or the new network cannot be.
    """
    spec = source.spec
    kept = len(spec.hidden) + 1 - cut
    if cut < 1 or kept < 0:
        raise SpecError(f"cut must lie between 1 and {len(spec.hidden) + 1}, the layers of the network, not {cut}")
    student = Network(
        replace(
            spec,
            hidden=spec.hidden[:kept] + hidden,
            outputs=outputs,
            loss=loss,
            optimizer=optimizer or spec.optimizer,
            layer_rates=(kept_rate,) * kept + (1.0,) * (len(hidden) + 1),
        )
    )
    for (weights, biases), (new_weights, new_biases) in zip(
        source.layers()[:kept], student.layers()[:kept], strict=True
    ):
        new_weights[:], new_biases[:] = weights, biases
    # Optimisers may remember where they started (COCOB's bets are on the distance), so the slots are made anew.
    state = student.state()
    state["slots"] = student.spec.optimizer.initial_slots(student.params).ravel()
    student.restore(state)
    return student
