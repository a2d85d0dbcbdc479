"""River's detectors, imported without the package that brings SciPy."""

import subprocess
import sys

import pytest

from nnstream.drift.detectors import KINDS, DetectorSpec
from nnstream.drift.plain import from_plain, to_plain

CODE = """
import sys
from nnstream.drift.detectors import DetectorSpec
detector = DetectorSpec("adwin").detector(1000, up_only=False)
detector.update(1.0)
print("river.drift" in sys.modules, "river.datasets" in sys.modules)
import river.drift
print(river.drift.adwin.ADWIN().clock)
"""


def test_a_detector_brings_no_datasets_and_river_stays_whole():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "32"]


@pytest.mark.parametrize("name", KINDS)
def test_what_is_restored_is_of_the_same_class(name):
    detector = DetectorSpec(name).detector(1000, up_only=True)
    assert type(from_plain(to_plain(detector))) is type(detector)
