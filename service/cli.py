"""The command line: arguments in, exit code out. Each command's work stands in a module of its own."""

import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from service.checkpoint_cli import checkpoint_app
from service.errors import DataError, ServiceError, SettingsError
from service.export_cli import export
from service.report_cli import report

if TYPE_CHECKING:
    from nnstream.model import ModelSpec
    from service.datasets import Sample

app = typer.Typer(
    help="A neural network that keeps learning from a Kafka topic.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here:  nnstream demo",
)
app.add_typer(checkpoint_app, name="checkpoint")
err = Console(stderr=True)


class Task(StrEnum):
    """What the labels are."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Learner(StrEnum):
    """What learns."""

    ENSEMBLE = "ensemble"
    NETWORK = "network"


class RecordKind(StrEnum):
    """What has a JSON Schema."""

    EVENT = "event"
    PREDICTION = "prediction"
    DEAD_LETTER = "dead-letter"
    ALERT = "alert"
    SETTINGS = "settings"


Config = Annotated[Path, typer.Argument(help="YAML file with the settings.", show_default=False)]
OptionalConfig = Annotated[Path | None, typer.Option("--config", help="YAML file; its model section is used.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="CSV file with a header.")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the CSV file that holds the label.")]
DatasetName = Annotated[str | None, typer.Option("--dataset", help="A built-in stream; a wrong name lists them.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@app.command()
def demo(
    events: Annotated[int | None, typer.Option(min=1, help="How many events to send.")] = None,
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop by itself when all are predicted.")] = False,
    as_json: AsJson = False,
    port: Annotated[int, typer.Option(help="HTTP port of the service; 0 takes a free one.")] = 0,
) -> None:
    """See the main job on real data: a broker, the service and a stream, all on this machine."""
    from service.demo import run_demo  # noqa: PLC0415  # each command imports only what it needs

    summary = run_demo(events, stay=not exit_after, console=err, port=port)
    if as_json:
        print(json.dumps(summary))  # noqa: T201


@app.command()
def serve(
    config: Config,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the settings can be used.")] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes of one group, which share the partitions; each has an http.port.")
    ] = 1,
    worker: Annotated[int | None, typer.Option(hidden=True, help="Which of them this is.")] = None,
) -> None:
    """Consume events, predict, learn, publish predictions, until stopped."""
    from service.settings import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    if check:
        from service.wiring import check as check_settings  # noqa: PLC0415

        print(check_settings(settings, config))  # noqa: T201
        return
    if workers > 1:
        from service.workers import run_workers  # noqa: PLC0415

        run_workers(config, settings.log, workers)
        return
    gc.disable()  # nothing that an import makes is garbage; once it is set up, `serve` enables it
    from service.serve import serve as run  # noqa: PLC0415

    run(settings, worker)


@app.command(name="compile")
def compile_kernels() -> None:
    """Compile what is compiled once a machine now, so that no event has to wait for it."""
    from service.warm_up import compile_all  # noqa: PLC0415

    with err.status("compiling"):
        seconds = compile_all()
    print(f"compiled and cached in {seconds:.1f} s")  # noqa: T201


@app.command()
def produce(
    config: Config,
    csv: Csv = None,
    label: LabelColumn = None,
    dataset: DatasetName = None,
    rate: Annotated[float | None, typer.Option(help="Events a second; as fast as possible without.")] = None,
    limit: Limit = None,
) -> None:
    """Send a CSV file or a built-in data set as events."""
    from service.adapters.kafka_python.publisher import KafkaPythonPublisher  # noqa: PLC0415
    from service.produce import produce as send  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415
    from service.wiring import new_format, prepare_topics  # noqa: PLC0415

    samples, total, _ = _samples(csv, label, dataset, limit)
    if total is None and limit is None and csv is None:
        err.print("This stream never ends: stop with Ctrl-C, or give --limit.")
    settings = load_settings(config)
    form = new_format(settings)
    prepare_topics(settings)
    publisher = KafkaPythonPublisher(settings.kafka)
    try:
        with _progress("sent", limit or total) as progress:
            sent = send(samples, publisher, settings.topics.events, form, rate=rate, progress=progress)
    finally:
        publisher.close()
    err.print(f"{sent:,} events sent to {settings.topics.events}")


@app.command()
def tail(
    config: Config,
    limit: Limit = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="The whole topic, not only what comes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Subscribe to the predictions: a live table, or lines of JSON."""
    from service.adapters.kafka_python.reader import KafkaPythonReader  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415
    from service.tail import print_lines, show_table  # noqa: PLC0415

    settings = load_settings(config)
    settings.topics.must_write_json()
    reader = KafkaPythonReader(settings.kafka, settings.topics.predictions, from_start=from_start)
    try:
        if as_json or not sys.stdout.isatty():
            print_lines(reader, limit)
        else:
            show_table(reader, limit, Console())
    finally:
        reader.close()


@app.command()
def evaluate(
    csv: Csv = None,
    label: LabelColumn = None,
    dataset: DatasetName = None,
    task: Annotated[Task | None, typer.Option(help="What the labels are; default: classification.")] = None,
    learner: Annotated[Learner | None, typer.Option(help="What learns; default: ensemble.")] = None,
    config: OptionalConfig = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Predict, then learn, every sample of a file or data set, without Kafka; print the score."""
    from service.evaluate import evaluate as run  # noqa: PLC0415

    samples, total, natural_task = _samples(csv, label, dataset, limit)
    spec = _spec(config, task, learner, natural_task)
    with _progress("evaluated", limit or total) as progress:
        summary = run(samples, spec, progress)
    print(json.dumps(summary) if as_json else _readable(summary))  # noqa: T201


def _spec(config: Path | None, task: Task | None, learner: Learner | None, natural_task: str) -> "ModelSpec":
    """Return the model of the settings, with what was said on the command line, compiled."""
    from service.evaluate import warm_up  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415
    from service.wiring import model_spec  # noqa: PLC0415

    model = load_settings(config).model
    chosen = task.value if task is not None else (natural_task if config is None else None)
    given = {"task": chosen, "learner": learner.value if learner is not None else None}
    spec = model_spec(model.model_copy(update={name: value for name, value in given.items() if value is not None}))
    with err.status("preparing the network (compiled once a machine)"):
        warm_up(spec)
    return spec


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option("--out", help="Where to write the model (safetensors).")],
    csv: Csv = None,
    label: LabelColumn = None,
    dataset: DatasetName = None,
    task: Annotated[Task | None, typer.Option(help="What the labels are; default: classification.")] = None,
    learner: Annotated[Learner | None, typer.Option(help="What learns; default: ensemble.")] = None,
    config: OptionalConfig = None,
    passes: Annotated[int, typer.Option(min=1, help="Most times to go through the history.")] = 1,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Learn from history; `model.start_from` lets the service go on from there."""
    from nnstream import snapshot  # noqa: PLC0415
    from service.pretrain import pretrain as run  # noqa: PLC0415

    samples, total, natural_task = _samples(csv, label, dataset, limit)
    spec = _spec(config, task, learner, natural_task)
    count = limit or total
    with _progress("learned", count and count * passes) as progress:
        found = run(list(samples), spec, passes, progress)
    try:
        out.write_bytes(snapshot.dump(found.model))
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}; give another --out") from error
    print(json.dumps(found.summary()) if as_json else _lines(found.summary()))  # noqa: T201


@app.command()
def schema(kind: Annotated[RecordKind, typer.Argument(help="What to describe.")]) -> None:
    """Print the JSON Schema of a public record, or of the settings."""
    from service import events  # noqa: PLC0415
    from service.settings import Settings  # noqa: PLC0415

    models: dict[RecordKind, Any] = {
        RecordKind.EVENT: events.Event,
        RecordKind.PREDICTION: events.Prediction,
        RecordKind.DEAD_LETTER: events.DeadLetter,
        RecordKind.ALERT: events.DriftAlert,
        RecordKind.SETTINGS: Settings,
    }
    print(json.dumps(models[kind].model_json_schema(), indent=2))  # noqa: T201


app.command()(export)
app.command()(report)


def _samples(
    csv: Path | None, label: str | None, dataset: str | None, limit: int | None
) -> tuple["Iterator[Sample]", int | None, str]:
    """Return the samples that were asked for, how many there are, and the task of their labels."""
    from service.datasets import find_dataset, read_csv  # noqa: PLC0415

    if (csv is None) == (dataset is None):
        raise DataError("give either --csv FILE --label COLUMN or --dataset NAME")
    if csv is not None:
        if label is None:
            raise DataError(f"say which column of {csv} holds the label: --label COLUMN")
        return islice(read_csv(csv, label), limit), None, "classification"
    found = find_dataset(str(dataset))
    return islice(found.open(), limit), found.size, found.task


@contextmanager
def _progress(verb: str, total: int | None) -> "Iterator[Callable[[int], None]]":
    """Show on a terminal how far something is."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (*Progress.get_default_columns(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(verb, total=total)
        yield lambda done: bar.update(task, completed=done)


def _readable(summary: dict[str, Any]) -> str:
    flat = {**summary, **{f"baseline {name}": value for name, value in summary["baselines"].items()}}
    del flat["baselines"]
    return _lines(flat)


def _lines(flat: dict[str, Any]) -> str:
    return "\n".join(f"{name:20} {value:,.4f}" if isinstance(value, float) else f"{name:20} {value:,}"
                     for name, value in flat.items())  # fmt: skip


def main() -> None:
    """Run the command line; an error that is the user's to mend is said without a traceback."""
    from nnstream.errors import NnstreamError  # noqa: PLC0415
    from service.logs import set_up_logs  # noqa: PLC0415
    from service.settings import LogSettings  # noqa: PLC0415

    set_up_logs(LogSettings(level="warning", format="console"))
    try:
        app()
    except ServiceError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except NnstreamError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(SettingsError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
