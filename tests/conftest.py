"""Fixtures that every test may ask for.

What imports kafka-python is imported within: this file is read before its warnings are excused.
"""

# ruff: noqa: PLC0415

import importlib.util
import os
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

CLIENTS = ["kafka-python", "librdkafka"]


def pytest_addoption(parser):
    parser.addoption(
        "--kafka-client",
        choices=CLIENTS,
        default=CLIENTS[0],
        help="the client of services whose test does not say which (default: %(default)s)",
    )
    parser.addoption(
        "--long-chaos", action="store_true", help="200 kills over 200,000 events, a broker frozen for 60 s"
    )


def pytest_collection_modifyitems(config, items):
    """The long form's own tests are not collected otherwise; they are named by `make chaos`."""
    if not config.getoption("--long-chaos"):
        items[:] = [item for item in items if item.get_closest_marker("long_chaos") is None]


@pytest.fixture(scope="session")
def kafka_broker_module():
    """deploy/kafka/broker.py, which is a script in no package."""
    return script("kafka/broker.py", "kafka_broker")


@pytest.fixture(scope="session")
def schema_registry(tmp_path_factory):
    """The schema registry that all tests share; a test that ends it starts it again."""
    module = script("registry/registry.py", "schema_registry_server")
    with module.SchemaRegistryServer(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def script(path, name):
    """A script of deploy/ as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "deploy" / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def kafka_bootstrap_servers(kafka_broker_module, tmp_path_factory):
    """The Kafka that all tests share: $KAFKA_BOOTSTRAP_SERVERS, or one that is started for this run."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with kafka_broker_module.KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def own_kafka_broker(kafka_broker_module, tmp_path):
    """A running broker for this test alone: it may be stopped, killed and started again."""
    with kafka_broker_module.KafkaBroker(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def unique(request):
    """Names for topics, groups and transactional ids that no other test on the shared broker has.

    ``unique("events")`` is the same name however often it is asked for within one test.
    """
    prefix = f"{request.node.name[:60].partition('[')[0]}-{uuid.uuid4().hex[:8]}"
    return lambda name: f"{prefix}-{name}"


@pytest.fixture(scope="session")
def compiled():
    """The kernels, compiled once and cached on disk: no test waits for it in another process."""
    from service.evaluate import warm_up
    from service.settings import ModelSettings
    from service.wiring import model_spec

    for task in ("classification", "regression"):
        warm_up(model_spec(ModelSettings(task=task)))


@pytest.fixture(scope="session")
def kafka(kafka_bootstrap_servers):
    from harness import Kafka

    with closing(Kafka(kafka_bootstrap_servers)) as cluster:
        yield cluster


@pytest.fixture
def client(request):
    """The Kafka client of services; a test that is parametrised with it has its own."""
    return request.config.getoption("--kafka-client")


@pytest.fixture
def new_service(kafka, compiled, tmp_path, unique, client):
    """Make services, which end with the test: `new_service({"model": {…}}, worker="second")`."""
    from harness import Service

    services = []

    def new(settings=None, worker="service"):
        services.append(Service(kafka, tmp_path, unique("stream"), settings, worker, client))
        return services[-1]

    yield new
    for service in services:
        service.kill()
