"""After `nnstream compile` nothing is left to compile."""

import os
import subprocess
import sys

CODE = """
import json
import sys

from service.settings import settings_from
from service.warm_up import _Event, _Nowhere
from service.wiring import build_stages

for learner in ("network", "ensemble"):
    for task, count in (("classification", 2), ("classification", 5), ("regression", 2)):
        stages = build_stages(settings_from({"model": {"learner": learner, "task": task}}), _Nowhere())
        stages.begin(0)
        events = [{"id": i, "features": {"a": i / 3, "b": "x"}, "label": i % count} for i in range(200)]
        asked = [{name: value for name, value in each.items() if name != "label"} for each in events]
        known = [{"id": each["id"], "label": each["label"]} for each in events]
        values = [json.dumps(each).encode() for each in asked + known]
        stages.process([_Event(i, i, value) for i, value in enumerate(values)])
        assert stages.learner.model.version == 200
assert "numba.np.linalg" not in sys.modules  # nor has any of what compiles been imported
"""


def test_nothing_is_left_to_compile(tmp_path):
    def run(*arguments):
        subprocess.run([sys.executable, *arguments], check=True, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
        return {file.name: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}

    compiled = run("-m", "service", "compile")
    assert compiled
    assert run("-c", CODE) == compiled
