"""A service at full speed keeps its memory: the short form of benchmarks/soak.py, which fails on a real leak."""

import sys

import pytest
from harness import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from soak import soak

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(900)]

MINUTES = 0.5
EVENT_BYTES = 250
NOISE_BYTES = 16e6  # the memory goes up and down by half of that, with the checkpoints that are being written


def test_the_memory_does_not_grow_with_the_events(kafka_bootstrap_servers, compiled, tmp_path):
    found = soak(kafka_bootstrap_servers, tmp_path, MINUTES)
    assert found.events > 5_000, "too few to tell"
    assert found.grown_bytes < NOISE_BYTES + EVENT_BYTES * found.events * 2 / 3, "it keeps a part of each event"
