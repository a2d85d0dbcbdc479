"""Shared by the service's tests; imports within, for this file may be read before warnings have been excused."""

# ruff: noqa: PLC0415

import pytest


@pytest.fixture(scope="session")
def whole():
    """A worker that went through the whole log without being disturbed."""
    from rig import COUNT, Rig, filled_log

    return Rig(filled_log(COUNT)).run()
