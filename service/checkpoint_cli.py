"""The sub-commands of `nnstream checkpoint`: arguments in, a table or JSON out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service.errors import CheckpointError

checkpoint_app = typer.Typer(help="Look at the checkpoints of a service, and put one back.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(help="YAML file with the settings of the service.", show_default=False)]
Number = Annotated[int | None, typer.Option("--partition", min=0, help="Only this partition.")]
One = Annotated[int, typer.Option("--partition", min=0, help="Of which partition.")]
Name = Annotated[int | None, typer.Option("--checkpoint", help="Which one, as `list` names it; default: the newest.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@checkpoint_app.command("list")
def list_(config: Config, partition: Number = None, as_json: AsJson = False) -> None:
    """List them, and say which one a restart would begin with."""
    from service import checkpoint_admin as admin  # noqa: PLC0415  # each command imports only what it needs
    from service.settings import load_settings  # noqa: PLC0415

    with admin.opened(load_settings(config)) as place:
        _print(admin.listed(place, place.partitions(partition)), as_json=as_json)


@checkpoint_app.command()
def show(config: Config, partition: One = 0, checkpoint: Name = None, as_json: AsJson = False) -> None:
    """Show what is in one."""
    from service import checkpoint_admin as admin  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415

    with admin.opened(load_settings(config)) as place:
        found = admin.shown(place, place.partitions(partition)[0], checkpoint)
    if as_json:
        print(json.dumps(found))  # noqa: T201
    else:
        Console().print(*(f"{name:16} {value}" for name, value in found.items()), sep="\n", highlight=False)


@checkpoint_app.command()
def verify(config: Config, partition: Number = None, as_json: AsJson = False) -> None:
    """Read each one, and say whether a restart could use it; exit code 4 where a partition has none."""
    from service import checkpoint_admin as admin  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415

    with admin.opened(load_settings(config)) as place:
        partitions = place.partitions(partition)
        rows = admin.verified(place, partitions)
        without = admin.unusable(place, partitions, rows)
    _print(rows, as_json=as_json)
    if without:
        raise CheckpointError(
            f"{', '.join(map(str, without))}: no checkpoint can be used, the service would refuse to start; "
            "restore one with `nnstream checkpoint restore`, or start anew with another model.name and kafka.group_id"
        )


@checkpoint_app.command()
def export(
    config: Config,
    file: Annotated[Path, typer.Argument(help="Where to write it (.safetensors).")],
    partition: One = 0,
    checkpoint: Name = None,
) -> None:
    """Write one to a file."""
    from service import checkpoint_admin as admin  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415

    with admin.opened(load_settings(config)) as place:
        done = admin.exported(place, place.partitions(partition)[0], checkpoint, file)
    Console(stderr=True).print(
        "checkpoint {checkpoint} of partition {partition}: {bytes:,} bytes to {file}".format(**done)
    )


@checkpoint_app.command()
def restore(
    config: Config,
    file: Annotated[Path, typer.Argument(help="What `export` wrote.")],
    partition: One = 0,
) -> None:
    """Let a partition go on from a file; the service must be stopped, and predicts what came since once more."""
    from service import checkpoint_admin as admin  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415

    with admin.opened(load_settings(config)) as place:
        done = admin.restored(place, place.partitions(partition)[0], file)
    Console(stderr=True).print(
        "partition {partition} goes on at event {next_event}; {again:,} events will be predicted again".format(**done)
    )


def _print(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(rows)))  # noqa: T201
        return
    if not rows:
        Console(stderr=True).print("there are no checkpoints")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("ok" if value is None else str(value) for value in row.values()))
    Console().print(table)
