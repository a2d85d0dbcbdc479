"""Fixtures of the tests that run the real service against a real broker.

What imports kafka-python is imported within: this file may be read before tests/conftest.py has excused its warnings.
"""

# ruff: noqa: PLC0415

from contextlib import closing

import pytest


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
def new_service(kafka, compiled, tmp_path, unique):
    """Make services, which end with the test: `new_service({"model": {…}}, worker="second")`."""
    from harness import Service

    services = []

    def new(settings=None, worker="service"):
        services.append(Service(kafka, tmp_path, unique("stream"), settings, worker))
        return services[-1]

    yield new
    for service in services:
        service.kill()
