"""Measures how often each detector raises a false alarm, and writes nnstream/drift/calibration.json.

python scripts/calibrate_drift.py [detector ...]     (about ten minutes for all)

Independent numbers stand for the blocks of a stream that does not change; only their ranks are looked at, so one
distribution stands for all.
"""

import json
import sys
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from nnstream.drift import detectors
from nnstream.drift.changes import Changes
from nnstream.drift.detectors import KINDS, DetectorSpec

FILE = Path(__file__).parents[1] / "nnstream" / "drift" / "calibration.json"
SERIES = 400
LONGEST_SECONDS = 40.0
ENOUGH = 400  # false alarms: their number is then known to 5 %
KNOBS = {
    "adwin": [4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.04, 0.015],
    "page_hinkley": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0],
    "kswin": [0.1, 0.03, 0.01, 0.003, 0.001],
    "ddm": [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.5, 6.5, 7.5],
    "eddm": [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4],
    "hddm_a": [0.5, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001],
    "hddm_w": [0.5, 0.2, 0.1, 0.07, 0.05, 0.03, 0.01, 0.003, 0.001],
}


def blocks_between_alarms(name: str, knob: float) -> tuple[float, int]:
    """Return the mean number of blocks between two false alarms, and how many there were."""
    rng = np.random.default_rng(1)
    series = 20 if name == "kswin" else SERIES
    with patch.object(detectors, "knob", lambda *_: knob):
        changes = Changes(DetectorSpec(name))
        for _ in range(series):
            changes.add_series(1000, up_only=KINDS[name].binary)
        alarms = blocks = 0
        start = time.perf_counter()
        while alarms < ENOUGH and time.perf_counter() - start < LONGEST_SECONDS:
            alarms += len(changes.update(rng.random((1000, series))))
            blocks += 1000
    return blocks * series / max(alarms, 1), alarms


def main(names: list[str]) -> None:
    """Measure the detectors named, or all."""
    table = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name in names or list(KINDS):
        points = []
        for knob in KNOBS[name]:
            apart, alarms = blocks_between_alarms(name, knob)
            print(f"{name} {knob}: {apart:.0f} blocks, {alarms} alarms", flush=True)
            if alarms < ENOUGH / 8:
                break
            if not points or apart > 1.1 * points[-1][1]:
                points.append((knob, round(apart, 1)))
        table[name] = points
        FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
