"""Every Python block of README.md and docs/*.md runs: an example that no longer holds fails here."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python[^\S\n]*\n(.*?)^```[^\S\n]*$", re.DOTALL | re.MULTILINE)


def blocks(text):
    """The code of each block, moved down to its line in the file, so that a traceback points there."""
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in BLOCK.finditer(text)]


@pytest.mark.parametrize("path", [path for path in FILES if blocks(path.read_text())], ids=lambda path: path.name)
def test_python_blocks_run_in_order(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what an example writes is thrown away
    namespace = {"__name__": path.stem}
    for code in blocks(path.read_text()):
        exec(compile(code, str(path), "exec"), namespace)  # noqa: S102  # our own documentation


def test_blocks_are_found():
    text = "a\n```python\nx = 1\n```\nb\n```console\nls\n```\n```python\ny = x\n```\n"
    assert blocks(text) == ["\n\nx = 1\n", "\n" * 9 + "y = x\n"]
    assert blocks((ROOT / "README.md").read_text())
