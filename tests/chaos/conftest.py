"""How much chaos: a short form within `make test`, a long one with `make chaos`."""

from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def dose(request):
    """How many kills and events."""
    if request.config.getoption("--long-chaos"):
        return SimpleNamespace(
            kills=200, events=200_000, pause=2.0, frozen_seconds=60, unreachable_seconds=60, storm=100_000
        )
    return SimpleNamespace(kills=20, events=30_000, pause=0.8, frozen_seconds=6, unreachable_seconds=8, storm=4_000)
