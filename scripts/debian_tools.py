"""The two programs that tests need and pip does not have: Chromium, and Prometheus with its promtool.

python scripts/debian_tools.py     says where they are, and fetches what is missing

Chromium is installed with apt-get where this runs as root; it needs too many libraries to live anywhere else.
Prometheus is only unpacked into build/debian/, and nothing on the system changes. $CHROMIUM and $PROMETHEUS_BIN (a
directory) name others that are there already.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build" / "debian"


class ToolError(RuntimeError):
    """A program is missing and cannot be fetched; the message says what to do."""


def chromium() -> Path:
    """Return Chromium's program; install Debian's package where it is missing.

    Raises:
        ToolError: it is missing and cannot be installed from here.
    """
    found = _chromium_on_path()
    if found is not None:
        return found
    advice = "install Chromium (Debian: apt-get install chromium), or set CHROMIUM to its program"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ToolError(f"Chromium is missing, and only root on Debian can install it from here; {advice}")
    _apt("install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core", advice=advice)
    found = _chromium_on_path()
    if found is None:
        raise ToolError(f"Chromium was installed but is not on the PATH; {advice}")
    return found


def _chromium_on_path() -> Path | None:
    names = (os.environ.get("CHROMIUM", "chromium"), "chromium-browser", "google-chrome")
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


def prometheus() -> Path:
    """Return the directory with `prometheus` and `promtool`; unpack Debian's package where they are missing.

    Raises:
        ToolError: they are missing and cannot be fetched.
    """
    advice = "install Prometheus (Debian: apt-get install prometheus), or set PROMETHEUS_BIN to its directory"
    given = os.environ.get("PROMETHEUS_BIN")
    on_path = shutil.which("promtool")
    unpacked = BUILD / "prometheus" / "usr" / "bin"
    for place in (given, on_path and Path(on_path).parent, unpacked):
        if place and all((Path(place) / name).is_file() for name in ("prometheus", "promtool")):
            return Path(place)
    unpack("prometheus", advice)
    return unpacked


def unpack(package: str, advice: str) -> Path:
    """Return the directory that a Debian package was unpacked into, which is done where it is not there yet.

    Args:
        package: its name.
        advice: what else the user can do, for the message.

    Raises:
        ToolError: it cannot be fetched.
    """
    place = BUILD / package
    if place.exists():
        return place
    if shutil.which("apt-get") is None:
        raise ToolError(f"the package {package} is missing and this is no Debian; {advice}")
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as directory:
        Path(directory).chmod(0o755)
        _apt("download", package, advice=advice, cwd=Path(directory))
        (archive,) = Path(directory).glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", archive, Path(directory) / "root"], check=True)
        if not place.exists():  # another run may have been faster
            (Path(directory) / "root").rename(place)
    return place


def _apt(*arguments: str, advice: str, cwd: Path | None = None) -> None:
    """Run apt-get; where it fails, once more with fresh lists, which a new container does not have."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for commands in ([arguments], [("update",), arguments]):
        done = [
            subprocess.run(
                ["apt-get", "-q", *each], cwd=cwd, env=environment, check=False, capture_output=True, text=True
            )
            for each in commands
        ]
        if done[-1].returncode == 0:
            return
    raise ToolError(
        f"apt-get {' '.join(arguments)} failed; {advice}\n{done[-1].stdout[-1000:]}{done[-1].stderr[-2000:]}"
    )


if __name__ == "__main__":
    print(f"chromium:   {chromium()}")
    print(f"prometheus: {prometheus()}")
