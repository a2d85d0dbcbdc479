"""Brings the page's charting library into service/web/static/vendor/ from its npm package, unchanged.

python scripts/vendor.py     needs npm; the committed files work without it

VENDORED.json says which version, under which licence, and the SHA-256 of each file; a test compares.
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION, LICENCE = "uplot", "1.6.32", "MIT"
TARGET = Path(__file__).parents[1] / "service" / "web" / "static" / "vendor"
FILES = {
    "package/dist/uPlot.esm.js": "uPlot.js",
    "package/dist/uPlot.min.css": "uPlot.css",
    "package/LICENSE": "uPlot.LICENSE",
}


def main() -> None:
    """Fetch the package, check what npm says of it, copy the files and write down what they are."""
    with tempfile.TemporaryDirectory() as directory:
        packed = subprocess.run(
            ["npm", "pack", "--json", f"{PACKAGE}@{VERSION}"], cwd=directory, check=True, capture_output=True
        )
        described = json.loads(packed.stdout)[0]
        TARGET.mkdir(parents=True, exist_ok=True)
        with tarfile.open(Path(directory) / described["filename"]) as archive:
            for inside, name in FILES.items():
                member = archive.extractfile(inside)
                if member is None:
                    raise FileNotFoundError(f"{PACKAGE} {VERSION} has no {inside}")
                (TARGET / name).write_bytes(member.read())
    record = {
        "package": PACKAGE,
        "version": VERSION,
        "licence": LICENCE,
        "integrity": described["integrity"],
        "files": {name: hashlib.sha256((TARGET / name).read_bytes()).hexdigest() for name in FILES.values()},
    }
    (TARGET / "VENDORED.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{PACKAGE} {VERSION} is in {TARGET}")


if __name__ == "__main__":
    main()
