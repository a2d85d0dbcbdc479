"""`nnstream export`: arguments in, one file with a model out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.errors import DataError

if TYPE_CHECKING:
    from service.export import Found

_SUFFIXES = (".onnx", ".safetensors")


def export(
    out: Annotated[
        Path, typer.Option("--out", help="Where to write it: .onnx, or .safetensors, which is the state.")
    ],
    config: Annotated[Path | None, typer.Argument(help="YAML file with the settings it was learned with.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A file of `pretrain` or `checkpoint export` in place of the service's checkpoint."
        ),
    ] = None,
    partition: Annotated[int, typer.Option(min=0, help="Of the service: of which partition.")] = 0,
    checkpoint: Annotated[int | None, typer.Option(help="Of the service: which one; default: the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Write a model as one ONNX graph, from features to the prediction, for any program to run."""
    if config is None and model is None:
        raise DataError("give the settings of a service, or --model FILE")
    if out.suffix not in _SUFFIXES:
        raise DataError(f"{out}: the name must end in {' or '.join(_SUFFIXES)}")
    from service.export import write  # noqa: PLC0415  # each command imports only what it needs

    found = _of_file(model, config) if model is not None else _of_service(config, partition, checkpoint)
    summary = write(found, out)
    if as_json:
        print(json.dumps(summary))  # noqa: T201
    else:
        Console(stderr=True).print("{bytes:,} bytes to {file}, {samples:,} samples learned".format(**summary))


def _of_file(path: Path, config: Path | None) -> "Found":
    from service.export import read  # noqa: PLC0415

    if config is None:
        return read(path)
    from service.settings import load_settings  # noqa: PLC0415
    from service.wiring import model_spec  # noqa: PLC0415

    return read(path, model_spec(load_settings(config).model))


def _of_service(config: Path | None, partition: int, checkpoint: int | None) -> "Found":
    from service import checkpoint_admin as admin  # noqa: PLC0415
    from service.export import unpacked  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415
    from service.wiring import model_spec  # noqa: PLC0415

    settings = load_settings(config)
    with admin.opened(settings) as place:
        data = admin.newest(place, place.partitions(partition)[0], checkpoint)
    return unpacked(data, model_spec(settings.model))
