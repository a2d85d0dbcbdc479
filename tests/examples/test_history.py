"""History first, of docs/examples: the command passes, says what it measured, and can fail."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "examples" / "history.py"


@pytest.mark.parametrize("learner", ["ensemble", "network"])
def test_history_saves_what_the_bar_asks_for(learner):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--learner", learner, "--json"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["enough"] >= 4
    assert len(found["saved"]) == 5


def test_it_fails_where_history_is_worth_nothing(monkeypatch, capsys):
    example = runpy.run_path(str(SCRIPT))
    monkeypatch.setattr(sys, "argv", ["history.py"])
    example["main"].__globals__["saved"] = lambda *_: (1.0, 0.8)
    assert example["main"]() == 1
    assert "0 of 5 streams" in capsys.readouterr().out
