"""Shared by the service's tests; imports within, for this file may be read before warnings have been excused."""

# ruff: noqa: PLC0415

import pytest


@pytest.fixture(scope="session")
def whole():
    """A worker that went through the whole log without being disturbed."""
    from rig import COUNT, Rig, filled_log

    return Rig(filled_log(COUNT)).run()


@pytest.fixture
def own_logs(monkeypatch):
    """Keep a command's log from where it runs: that is closed when other tests log."""
    monkeypatch.setattr("service.logs.set_up_logs", lambda _: None)


@pytest.fixture
def run(monkeypatch, capsys, own_logs):
    """Run `nnstream ...` in this process; return exit code, standard output, standard error."""
    import sys

    from service import cli

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nnstream", *map(str, arguments)])
        monkeypatch.setattr(cli, "err", cli.Console(stderr=True, width=300))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return command


@pytest.fixture
def csv(tmp_path):
    """Write a CSV file; return its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "data.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write
