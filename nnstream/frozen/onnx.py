"""A frozen network in ONNX, run so that the same value gives the same bits, however events are cut into blocks."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnstream.errors import SnapshotMismatchError, SpecError
from nnstream.frozen.vectors import Input, Sample

Pool = Literal["none", "mean"]


class OnnxBase:
    """One ONNX model, of whose outputs one is the embedding.

    Samples go through one at a time: onnxruntime does not promise that a row has the same bits in a batch of another
    size, and replay has to be exact to the bit (docs/adr/0012). One thread, deterministic compute and no optimisation
    that looks at the processor, for the same reason.

    Args:
        path: of the model.
        reader: how a raw value becomes the model's input.
        output: name of the output to take, the first by default; for example the layer below the classes.
        sha256: the digest the file must have; any by default.
        pool: `mean` takes the mean over all axes of the output but the last, as for the tokens of a text; `none`, all
            its numbers.

    Raises:
        SpecError: no readable model, or not one with that input and output; or onnxruntime is not installed.
        SnapshotMismatchError: the file is not the one of that digest.
    """

    def __init__(
        self,
        path: str | Path,
        reader: Input,
        output: str | None = None,
        sha256: str | None = None,
        pool: Pool = "none",
    ) -> None:
        data = _read(path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        if sha256 is not None and sha256 != self.sha256:
            raise SnapshotMismatchError(
                f"the model {path} has SHA-256 {self.sha256}, expected {sha256}: put the model back that the head "
                "was trained on, or start a new head"
            )
        self._reader, self._pool = reader, pool
        self._session = session(path, data)
        self._types = {str(each.name): str(each.type) for each in self._session.get_inputs()}
        self._output = self._chosen_output(path, output)
        self.size = int(self._first(reader.read("example", reader.example), path).size)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides the embeddings, as JSON-ready data: file, output, pooling and how values are read."""
        return {"sha256": self.sha256, "output": self._output, "pool": self._pool} | dict(self._reader.identity)

    def read(self, where: str, value: Any) -> Sample:
        """Return a raw value as the model's input; see `Input.read`."""
        return self._reader.read(where, value)

    def embed(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """Return the embeddings, float32 (samples, size), of what `read` returned."""
        out = np.empty((len(samples), self.size), np.float32)
        for row, sample in zip(out, samples, strict=True):
            row[:] = self._run(sample).ravel()
        return out

    def _run(self, sample: Sample) -> NDArray[Any]:
        found = np.asarray(self._session.run([self._output], self._feeds(sample))[0])
        if self._pool == "mean":
            found = found.reshape(-1, found.shape[-1]).mean(axis=0, dtype=found.dtype)
        return found

    def _feeds(self, sample: Sample) -> dict[str, NDArray[Any]]:
        if isinstance(sample, Mapping):
            return {name: sample[name][None] for name in self._types}
        (name,) = self._types
        return {name: sample if sample.dtype == object else sample[None]}

    def _chosen_output(self, path: str | Path, output: str | None) -> str:
        names = [str(each.name) for each in self._session.get_outputs()]
        if output is not None and output not in names:
            raise SpecError(f"the model {path} has no output {output!r}; it has {', '.join(names)}")
        return output or names[0]

    def _first(self, sample: Sample, path: str | Path) -> NDArray[np.float32]:
        """Return the embedding of a first sample, or say why the model gives none."""
        self._check_inputs(sample, path)
        try:
            result = self._run(sample)
        except Exception as problem:  # noqa: BLE001  # onnxruntime's exceptions share no other root
            shape = "a text" if isinstance(sample, Mapping) or sample.dtype == object else sample.shape
            raise SpecError(f"the model {path} does not take {shape}: {problem}") from None
        if result.dtype != np.float32:
            raise SpecError(f"the model {path}: output {self._output} must be float32, is {result.dtype}")
        return result

    def _check_inputs(self, sample: Sample, path: str | Path) -> None:
        found = ", ".join(f"{name}: {kind}" for name, kind in self._types.items())
        if isinstance(sample, Mapping):
            if not self._types.keys() <= sample.keys() or set(self._types.values()) != {"tensor(int64)"}:
                wanted = ", ".join(sample)
                raise SpecError(f"the model {path} must have inputs of {wanted}, tensor(int64); it has {found}")
            return
        kind = "tensor(string)" if sample.dtype == object else "tensor(float)"
        if list(self._types.values()) != [kind]:
            raise SpecError(f"the model {path} must have one input, {kind}; it has {found}")


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise SpecError(f"the model {path} cannot be read: {problem.strerror}") from None


def session(path: str | Path, data: bytes | None = None) -> Any:
    """Return a session that gives the same bits every time; `data` is what the file holds, read by default."""
    data = _read(path) if data is None else data
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
