"""Networks that PyTorch trained and stored, for tests/nnstream/test_pytorch.py: `python scripts/pytorch_networks.py`.

PyTorch is Debian's (`apt-get install python3-torch`) and belongs to Debian's Python, which this starts; it is never
part of the project. Written are, for each network, its state dict (safetensors) and what `torch.onnx.export` makes of
it, then inputs and PyTorch's own outputs; and printed how far nnstream is from them.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "tests" / "nnstream" / "pytorch"
DEBIAN = "/usr/bin/python3"
ROWS, INPUTS = 200, 6
NETWORKS = {  # hidden units, activation, loss, outputs, whether layers have biases
    "logistic": ((), "Identity", "log", 1, True),
    "relu-log": ((16,), "ReLU", "log", 1, True),
    "relu-classes": ((16, 8), "ReLU", "cross_entropy", 5, True),
    "tanh-squared": ((12, 12, 12), "Tanh", "squared", 2, True),
    "sigmoid-classes": ((10,), "Sigmoid", "cross_entropy", 3, True),
    "elu-squared": ((9,), "ELU", "squared", 1, True),
    "gelu-classes": ((16,), "GELU", "cross_entropy", 4, True),
    "leaky-labels": ((16,), "LeakyReLU", "log", 3, True),
    "softplus-squared": ((8,), "Softplus", "squared", 1, True),
    "no-biases": ((16,), "ReLU", "squared", 2, False),
}


def train(folder: Path) -> None:
    """Train the networks with PyTorch, and store everything under `folder` (run by Debian's Python)."""
    import torch  # noqa: PLC0415  # which only Debian's Python has

    torch.manual_seed(0)
    X = torch.randn(ROWS, INPUTS)
    found = {"inputs": X.numpy()}
    for name, (hidden, activation, loss, outputs, has_biases) in NETWORKS.items():
        layers, width = [], INPUTS
        for units in hidden:
            layers += [torch.nn.Linear(width, units, bias=has_biases), getattr(torch.nn, activation)()]
            width = units
        net = torch.nn.Sequential(*layers, torch.nn.Linear(width, outputs, bias=has_biases))
        cost, target, link = {
            "log": (torch.nn.BCEWithLogitsLoss(), (X[:, :outputs] * X[:, 1:2] > 0).float(), torch.nn.Sigmoid()),
            "cross_entropy": (torch.nn.CrossEntropyLoss(), X[:, :outputs].argmax(1), torch.nn.Softmax(dim=1)),
            "squared": (torch.nn.MSELoss(), X[:, :outputs] * X[:, 1:2], torch.nn.Identity()),
        }[loss]
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(300):
            optimizer.zero_grad()
            cost(net(X), target).backward()
            optimizer.step()
        whole = torch.nn.Sequential(net, link).eval()
        torch.onnx.export(whole, X[:1], str(folder / f"{name}.onnx"), dynamic_axes={"x": {0: "n"}}, input_names=["x"])
        found[f"outputs {name}"] = whole(X).detach().numpy()
        exact = whole.double()(X.double()).detach().numpy()
        away = np.abs(found[f"outputs {name}"] - exact) / np.maximum(1, np.abs(exact))
        found[f"rounding {name}"] = away.max(keepdims=True)[0]
        net.float()
        found |= {f"state {name} {key}": each.numpy() for key, each in net.state_dict().items()}
    np.savez(folder / "found.npz", **found)


def keep(folder: Path) -> None:
    """Write what was trained where the tests read it; print the largest difference of each network."""
    import safetensors.numpy  # noqa: PLC0415  # which only ours has

    from nnstream.imports import from_state_dict  # noqa: PLC0415

    TARGET.mkdir(exist_ok=True)
    found = dict(np.load(folder / "found.npz"))
    kept = {name: each for name, each in found.items() if not name.startswith("state ")}
    safetensors.numpy.save_file(kept, TARGET / "outputs.safetensors")
    for name, (_, activation, loss, _, _) in NETWORKS.items():
        prefix = f"state {name} "
        state = {key.removeprefix(prefix): each for key, each in found.items() if key.startswith(prefix)}
        safetensors.numpy.save_file(state, TARGET / f"{name}.safetensors")
        (TARGET / f"{name}.onnx").write_bytes((folder / f"{name}.onnx").read_bytes())
        own = {"LeakyReLU": "leaky_relu"}.get(activation, activation.lower())
        network = from_state_dict(TARGET / f"{name}.safetensors", activation=own, loss=loss)
        expected = found[f"outputs {name}"]
        away = np.abs(network.predict(found["inputs"]) - expected) / np.maximum(1, np.abs(expected))
        own_rounding = found[f"rounding {name}"].item()
        print(f"{name:18} largest difference {away.max():.1e}, of PyTorch from itself in float64 {own_rounding:.1e}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            subprocess.run([DEBIAN, __file__, made], check=True)
            keep(Path(made))
