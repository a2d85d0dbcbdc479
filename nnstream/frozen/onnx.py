"""A frozen network in ONNX, run so that the same value gives the same bits, however events are cut into blocks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnstream.errors import SnapshotMismatchError, SpecError
from nnstream.frozen.vectors import Input


class OnnxBase:
    """One ONNX model with one float32 input and, of its outputs, one as the embedding.

    Samples go through one at a time: onnxruntime does not promise that a row has the same bits in a batch of another
    size, and replay has to be exact to the bit. One thread, deterministic compute and no optimisation that looks at
    the processor, for the same reason.

    Args:
        path: of the model.
        reader: how a raw value becomes the model's input.
        output: name of the output to take, the first by default; for example the layer below the classes.
        sha256: the digest the file must have; any by default.

    Raises:
        SpecError: no readable model, or not one with that input and output; or onnxruntime is not installed.
        SnapshotMismatchError: the file is not the one of that digest.
    """

    def __init__(self, path: str | Path, reader: Input, output: str | None = None, sha256: str | None = None) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError as problem:
            raise SpecError(f"the model {path} cannot be read: {problem.strerror}") from None
        self.sha256 = hashlib.sha256(data).hexdigest()
        if sha256 is not None and sha256 != self.sha256:
            raise SnapshotMismatchError(
                f"the model {path} has SHA-256 {self.sha256}, expected {sha256}: put the model back that the head "
                "was trained on, or start a new head"
            )
        self._reader = reader
        self._session = _session(path, data)
        self._input = self._only_input(path)
        self._output = self._chosen_output(path, output)
        self.size = int(self._run(np.zeros(reader.shape, np.float32), path).size)

    def read(self, where: str, value: Any) -> NDArray[np.float32]:
        """Return a raw value as the model's input; see `Input.read`."""
        return self._reader.read(where, value)

    def embed(self, samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the embeddings, float32 (samples, size), of what `read` returned."""
        out = np.empty((len(samples), self.size), np.float32)
        for row, sample in zip(out, samples, strict=True):
            row[:] = self._session.run([self._output], {self._input: sample[None]})[0].ravel()
        return out

    def _only_input(self, path: str | Path) -> str:
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{each.name}: {each.type}" for each in inputs)
            raise SpecError(f"the model {path} must have one input, tensor(float); it has {found}")
        return str(inputs[0].name)

    def _chosen_output(self, path: str | Path, output: str | None) -> str:
        names = [str(each.name) for each in self._session.get_outputs()]
        if output is not None and output not in names:
            raise SpecError(f"the model {path} has no output {output!r}; it has {', '.join(names)}")
        return output or names[0]

    def _run(self, sample: NDArray[np.float32], path: str | Path) -> NDArray[np.float32]:
        try:
            result = np.asarray(self._session.run([self._output], {self._input: sample[None]})[0])
        except Exception as problem:  # noqa: BLE001  # onnxruntime's exceptions share no other root
            raise SpecError(f"the model {path} does not take {sample.shape}: {problem}") from None
        if result.dtype != np.float32:
            raise SpecError(f"the model {path}: output {self._output} must be float32, is {result.dtype}")
        return result


def _session(path: str | Path, data: bytes) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415  # an extra: the library works without it
    except ImportError:
        raise SpecError("ONNX models need onnxruntime: pip install 'nnstream[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # noqa: BLE001  # onnxruntime's exceptions share no other root
        raise SpecError(f"the model {path} is no ONNX model that onnxruntime can run: {problem}") from None
