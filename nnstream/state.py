"""Checks that stored arrays are what an object needs, before any of them is taken over."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from nnstream.errors import SpecError


def check_like(own: Mapping[str, npt.NDArray[Any]], given: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise a SpecError that names the first array which is missing, or has another shape or dtype."""
    for name, mine in own.items():
        if name not in given:
            raise SpecError(f"{name} is missing among the arrays to restore")
        theirs = given[name]
        if theirs.shape != mine.shape or theirs.dtype != mine.dtype:
            raise SpecError(
                f"{name} is {theirs.dtype}{list(theirs.shape)}, but this network needs {mine.dtype}{list(mine.shape)}"
            )
