"""`nnstream report`: arguments in, one file of HTML out."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.errors import DataError

if TYPE_CHECKING:
    from service.report.story import Records
    from service.settings import Settings

err = Console(stderr=True)


def report(
    config: Annotated[Path | None, typer.Argument(help="YAML file with the settings of the service.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("report.html"),
    from_: Annotated[
        str | None, typer.Option("--from", help="First moment: 2026-11-23T04:00 (UTC), or how long ago: 2h, 7d.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="The moment after the last; default: now.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="A CSV file instead of the topics.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Its column that holds the label.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="A built-in stream instead of the topics.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Of a file, only so many rows.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Heading of the page.")] = None,
) -> None:
    """Write what happened on a stream as one static page: score and loss, drifts, confusion, dead letters."""
    from service.logs import set_up_logs  # noqa: PLC0415  # each command imports only what it needs
    from service.report.page import page  # noqa: PLC0415
    from service.report.story import tell  # noqa: PLC0415
    from service.settings import LogSettings, load_settings  # noqa: PLC0415

    set_up_logs(LogSettings(level="error", format="console"))  # each drift stands in the report, not in the log
    settings = load_settings(config)
    if csv is None and dataset is None:
        if label is not None or limit is not None:
            raise DataError("--label and --limit belong to a file: give --csv FILE or --dataset NAME too")
        settings.topics.must_write_json()
        records, name = _from_topics(settings, from_, to), settings.topics.events
    else:
        if from_ is not None or to is not None:
            raise DataError("--from and --to belong to topics; of a file take the first rows with --limit")
        records, name = _from_file(settings, csv, label, dataset, limit)
    story = tell(records)
    if not story.events:
        raise DataError(f"{name} holds no prediction in that stretch; nothing was written")
    try:
        out.write_text(page(story, title or f"What happened on {name}"), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error
    err.print(f"{story.events:,} events, {len(story.marks):,} drift alerts: {out}", highlight=False, soft_wrap=True)


def _from_topics(settings: "Settings", from_: str | None, to: str | None) -> "Records":
    from service.adapters.kafka_python.stretch import read_stretch  # noqa: PLC0415
    from service.report.collect import from_topics  # noqa: PLC0415
    from service.report.moments import moment_ms  # noqa: PLC0415

    now = datetime.now(UTC)
    start, end = (None if text is None else moment_ms(text, now) for text in (from_, to))
    with err.status("reading the topics"):
        return from_topics(settings.topics, lambda topic: read_stretch(settings.kafka, topic, start, end))


def _from_file(
    settings: "Settings", csv: Path | None, label: str | None, dataset: str | None, limit: int | None
) -> "tuple[Records, str]":
    from service.datasets import find_dataset, read_csv  # noqa: PLC0415
    from service.report.collect import Collector, from_samples  # noqa: PLC0415
    from service.wiring import build_stages  # noqa: PLC0415

    if csv is not None and dataset is not None:
        raise DataError("give either --csv or --dataset")
    if csv is not None:
        if label is None:
            raise DataError(f"say which column of {csv} holds the label: --label COLUMN")
        samples, name = read_csv(csv, label), csv.name
    else:
        found = find_dataset(str(dataset))
        if found.size is None and limit is None:
            raise DataError(f"{dataset} never ends; give --limit")
        samples, name = found.open(), str(dataset)
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"task": found.task})})
    collector = Collector(settings.topics)
    with err.status("running the stream through the model"):
        return from_samples(islice(samples, limit), build_stages(settings, collector), collector), name
