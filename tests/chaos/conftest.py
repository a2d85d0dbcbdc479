"""How much chaos: a short form within `make test`, a long one with `make chaos`."""

from types import SimpleNamespace

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--long-chaos", action="store_true", help="200 kills over 200,000 events, a broker that is away for 60 s"
    )


def pytest_collection_modifyitems(config, items):
    """The long form's own tests are not collected otherwise; they are named by `make chaos`."""
    if not config.getoption("--long-chaos", default=False):
        items[:] = [item for item in items if item.get_closest_marker("long_chaos") is None]


@pytest.fixture(scope="session")
def dose(request):
    """How many kills and events."""
    if request.config.getoption("--long-chaos", default=False):
        return SimpleNamespace(
            kills=200, events=200_000, pause=2.0, frozen_seconds=60, unreachable_seconds=60, storm=100_000
        )
    return SimpleNamespace(kills=20, events=30_000, pause=0.8, frozen_seconds=6, unreachable_seconds=8, storm=4_000)
