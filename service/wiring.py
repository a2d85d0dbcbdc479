"""The only place where concrete classes meet: settings in, a worker out."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from nnstream import snapshot
from nnstream.model import Model, ModelSpec
from nnstream.optimizers import COCOB, OPTIMIZERS, Optimizer
from nnstream.regularizers import Regularization
from nnstream.responses import ResponseSpec
from nnstream.schema import FeatureSpec
from nnstream.spec import NetworkSpec
from service.adapters.fsspec_store import FsspecStore
from service.adapters.kafka_python.publisher import KafkaPythonPublisher, KafkaPythonTransactions
from service.adapters.kafka_python.source import KafkaPythonSource
from service.adapters.kafka_python.store import KafkaTopicStore
from service.adapters.kafka_python.topics import KafkaPythonTopics
from service.checkpoint import CheckpointStore
from service.client_statistics import ClientStatistics, ignore
from service.connection import Connection
from service.encoded import EncodingPublisher
from service.errors import SettingsError, TransactionsMissingError
from service.formats import Format
from service.formats.json_object import JsonFormat
from service.frozen import embedded_feature
from service.pretrain import read_start
from service.publish import Publisher
from service.records import Partition
from service.recovery import Checkpoints
from service.settings import KafkaSettings, ModelSettings, OnnxSettings, OptimizerSettings, Settings
from service.source import Source
from service.standby import Standby
from service.task import Task
from service.telemetry import Telemetry
from service.topics import Topics, ensure_topics
from service.watch import Watcher
from service.wire_formats import check_newest, event_format, needs_registry, prediction_writer
from service.worker import Worker

if TYPE_CHECKING:
    from service.adapters.schema_registry import SchemaRegistry

log = structlog.get_logger()


def model_spec(settings: ModelSettings) -> ModelSpec:
    """Return the library's description of the model.

    Raises:
        SpecError: a value that cannot be.
    """
    network = settings.network
    return ModelSpec(
        task=settings.task,
        learner=settings.learner,
        network=NetworkSpec(
            inputs=0,
            hidden=network.hidden,
            activation=network.activation,
            loss=network.loss if settings.task == "regression" else "log",
            loss_shape=network.loss_shape,
            optimizer=_optimizer(network.optimizer),
            regularization=Regularization(
                l1=network.l1,
                l2=network.l2,
                dropout=network.dropout,
                max_norm=network.max_norm,
                clip_norm=network.clip_norm,
            ),
            seed=network.seed,
        ),
        classes=settings.classes,
        features=_features(settings),
        memory=float("inf") if settings.memory is None else settings.memory,
        response=ResponseSpec(**settings.response.model_dump()),
    )


def first_model(settings: ModelSettings, spec: ModelSpec) -> Callable[[], Model]:
    """Return what makes the model of a partition that nothing was committed of.

    Raises:
        SettingsError: `start_from` cannot be used.
    """
    if settings.start_from is None:
        return partial(Model, spec)
    data = read_start(settings.start_from, spec)
    return lambda: snapshot.load(data, spec)[0]


def _described(spec: ModelSpec) -> str:
    return "the ensemble" if spec.learner == "ensemble" else f"one network with hidden layers {spec.network.hidden}"


def _optimizer(settings: OptimizerSettings) -> Optimizer:
    kind = OPTIMIZERS[settings.name]
    if settings.learning_rate is None or kind is COCOB:
        return kind()
    return kind(learning_rate=settings.learning_rate)  # type: ignore[call-arg]  # all but COCOB have one


def _features(settings: ModelSettings) -> dict[str, FeatureSpec] | None:
    if settings.features is None:
        return None
    return {
        name: embedded_feature(name, each) if isinstance(each, OnnxSettings) else FeatureSpec(**each.model_dump())
        for name, each in settings.features.items()
    }


def prepare_topics(settings: Settings) -> Topics:
    """Create missing topics; return what the service must know of them."""
    admin = KafkaPythonTopics(settings.kafka)
    try:
        return ensure_topics(admin, settings.topics, with_checkpoints=settings.checkpoint.url is None)
    finally:
        admin.close()


class Client(NamedTuple):
    """What a Kafka client brings: makers of the ends of the stream."""

    source: Callable[[KafkaSettings], Source]
    publisher: Callable[[KafkaSettings], Publisher]
    transactions: Callable[[KafkaSettings, str, int], Publisher]


def client(settings: KafkaSettings, note: Callable[[ClientStatistics], None] = ignore) -> Client:
    """Return the client that was asked for; it tells `note` about itself now and then, where it can.

    Raises:
        SettingsError: it is not installed.
    """
    installed = find_spec("confluent_kafka") is not None
    if settings.client == "librdkafka" and not installed:
        raise SettingsError(
            "kafka.client is librdkafka, which is not installed: pip install 'nnstream[librdkafka]', "
            "or set kafka.client to kafka-python"
        )
    if settings.client == "kafka-python" or not installed:
        return Client(KafkaPythonSource, KafkaPythonPublisher, KafkaPythonTransactions)
    from service.adapters.librdkafka.publisher import (  # noqa: PLC0415  # an extra
        LibrdkafkaPublisher,
        LibrdkafkaTransactions,
    )
    from service.adapters.librdkafka.source import LibrdkafkaSource  # noqa: PLC0415

    return Client(
        partial(LibrdkafkaSource, note=note),
        partial(LibrdkafkaPublisher, note=note),
        partial(LibrdkafkaTransactions, note=note),
    )


def new_publisher(settings: Settings, identity: str, note: Callable[[ClientStatistics], None] = ignore) -> Publisher:
    """Return a publisher with the promise that was asked for, or the best that the broker can keep."""
    wanted, made = settings.delivery.guarantee, client(settings.kafka, note)
    if wanted != "at_least_once":
        try:
            return made.transactions(settings.kafka, identity, settings.delivery.transaction_timeout_ms)
        except TransactionsMissingError as error:
            if wanted == "exactly_once":
                raise
            log.warning("delivering at least once", reason=str(error))
    return made.publisher(settings.kafka)


def new_store(settings: Settings) -> CheckpointStore:
    """Return where checkpoints lie."""
    if settings.checkpoint.url is not None:
        return FsspecStore(settings.checkpoint.url, settings.model.name)
    return KafkaTopicStore(settings.kafka, settings.topics.checkpoints, settings.model.name)


def new_registry(settings: Settings, note: Callable[[bool], None] = lambda _: None) -> "SchemaRegistry | None":
    """Return the schema registry; None where no format needs one.

    Args:
        settings: of the service.
        note: told whether it answers.

    Raises:
        SettingsError: it has no URL, or what it takes is not installed.
    """
    wanted = needs_registry(settings)
    if wanted is None:
        return None
    missing = [name for name in ("confluent_kafka", "httpx2", "fastavro", "grpc_tools") if not find_spec(name)]
    if missing:
        raise SettingsError(f"{wanted} needs {', '.join(missing)}: pip install 'nnstream[registry]'")
    from service.adapters.schema_registry import SchemaRegistry  # noqa: PLC0415  # an extra

    return SchemaRegistry(settings.schemas, note)


def new_format(settings: Settings) -> Format:
    """Return what reads and writes events."""
    return event_format(settings, new_registry(settings))


def build_worker(settings: Settings, watcher: Watcher | None = None) -> Worker:
    """Return a worker that is ready to run; topics that are missing have been created.

    Args:
        settings: of the service.
        watcher: shown what each batch did.
    """
    spec = model_spec(settings.model)
    start = first_model(settings.model, spec)
    telemetry = Telemetry(settings.model.name)
    registry = new_registry(settings, telemetry.registry_answered)
    form, write = event_format(settings, registry), prediction_writer(settings, registry)
    if registry is not None:
        check_newest(settings, registry.newest)
    topics = prepare_topics(settings)
    kafka = settings.kafka
    identity = f"{kafka.group_id}-{settings.model.name}-{kafka.instance_id or uuid.uuid4().hex}"
    background = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")

    def connect() -> Connection:
        if registry is not None:
            registry.check_back()
        with ExitStack() as undo:
            publisher = new_publisher(settings, identity, telemetry.client)
            undo.callback(publisher.close)
            if write is not None:
                publisher = EncodingPublisher(publisher, settings.topics.predictions, write)
            source = client(kafka, telemetry.client).source(kafka)
            undo.pop_all()
        return Connection(source, publisher, new_store(settings))

    def task(partition: Partition, connection: Connection, telemetry: Telemetry, watcher: Watcher | None) -> Task:
        metrics = telemetry.partition(partition)
        return Task(
            partition, settings, spec, start=start(), form=form, publisher=connection.publisher,
            checkpoints=Checkpoints(partition, settings.checkpoint, connection.store, background, metrics),
            metrics=metrics, largest_dead_letter_bytes=topics.largest_dead_letter_bytes, watcher=watcher,
        )  # fmt: skip

    new_task = partial(task, telemetry=telemetry, watcher=watcher)
    new_copy = partial(task, telemetry=Telemetry(settings.model.name), watcher=None)
    standby = Standby(settings, new_copy, telemetry)
    return Worker(settings, connect=connect, new_task=new_task, standby=standby, telemetry=telemetry)


def build_stages(settings: Settings, publisher: Publisher) -> Task:
    """Return the stages of one partition without Kafka: they read JSON, what they publish goes to `publisher`."""
    partition = Partition(settings.topics.events, 0)
    metrics = Telemetry(settings.model.name).partition(partition)
    store = FsspecStore("memory://nnstream", settings.model.name)  # is never written to
    checkpoints = Checkpoints(partition, settings.checkpoint, store, ThreadPoolExecutor(1), metrics)
    spec = model_spec(settings.model)
    return Task(
        partition,
        settings,
        spec,
        start=first_model(settings.model, spec)(),
        form=JsonFormat(),
        publisher=publisher,
        checkpoints=checkpoints,
        metrics=metrics,
    )


def check(settings: Settings, path: Path | None) -> str:
    """Return a line that says what these settings would do; raises where they cannot be."""
    spec = model_spec(settings.model)
    first_model(settings.model, spec)
    new_registry(settings)
    topics, kafka = settings.topics, settings.kafka
    return (
        f"{path or 'defaults'}: {spec.task} {topics.events} -> {topics.predictions} at {kafka.bootstrap_servers}, "
        f"group {kafka.group_id}, {_described(spec)}"
    )
