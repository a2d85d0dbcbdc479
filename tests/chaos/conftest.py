"""How much chaos: a short form within `make test`, a long one with `make chaos`."""

from types import SimpleNamespace

import pytest


def pytest_addoption(parser):
    parser.addoption("--long-chaos", action="store_true", help="200 kills over 200,000 events, a soak of 10 minutes")


def pytest_collection_modifyitems(config, items):
    """The long form's own tests are not collected otherwise; they are named by `make chaos`."""
    if not config.getoption("--long-chaos", default=False):
        items[:] = [item for item in items if item.get_closest_marker("long_chaos") is None]


@pytest.fixture(scope="session")
def dose(request):
    """How many kills and events."""
    if request.config.getoption("--long-chaos", default=False):
        return SimpleNamespace(kills=200, events=200_000, pause=2.0, frozen_seconds=60, soak_seconds=600)
    return SimpleNamespace(kills=20, events=40_000, pause=1.0, frozen_seconds=10, soak_seconds=20)
