"""A benchmark of several parts: `--part` runs some of them, `--json FILE` writes what they returned."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def run(parts: Mapping[str, Callable[[], Any]], about: str | None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=parts, action="append")
    options = parser.parse_args()
    results = {part: parts[part]() for part in options.part or parts}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
