"""Several workers on one machine: who is started, again, and how all of them end."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.settings import settings_from
from service.workers import WorkerEndedError, Workers

CONFIG = Path("config.yaml")
WAITS = "import sys; sys.stdin.read()"


class Launcher:
    """Starts programs of Python instead of workers, and notes their numbers."""

    def __init__(self, *programs):
        self._programs = list(programs)
        self.started = []
        self.processes = []

    def __call__(self, config, number):
        assert config == CONFIG
        program = self._programs[min(len(self.started), len(self._programs) - 1)]
        self.started.append(number)
        self.processes.append(subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE))
        return self.processes[-1]


def in_thread(workers):
    thread = threading.Thread(target=workers.run)
    thread.start()
    return thread


def until(condition):
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


def test_all_are_started_and_all_have_ended_when_it_returns():
    launch = Launcher(WAITS)
    workers = Workers(CONFIG, 3, launch)
    thread = in_thread(workers)
    until(lambda: len(launch.processes) == 3)
    workers.stop()
    thread.join(30)
    assert launch.started == [0, 1, 2]
    assert all(process.returncode is not None for process in launch.processes)


def test_a_worker_that_is_killed_is_started_again():
    launch = Launcher(WAITS)
    workers = Workers(CONFIG, 2, launch)
    thread = in_thread(workers)
    until(lambda: len(launch.processes) == 2)
    launch.processes[1].kill()
    until(lambda: len(launch.processes) == 3)
    workers.stop()
    thread.join(30)
    assert launch.started == [0, 1, 1]


def test_a_worker_that_ends_with_an_error_ends_all_with_its_code():
    launch = Launcher(WAITS, "raise SystemExit(4)")
    with pytest.raises(WorkerEndedError, match="worker 1 ended with exit code 4") as caught:
        Workers(CONFIG, 2, launch).run()
    assert caught.value.exit_code == 4
    assert all(process.returncode is not None for process in launch.processes)


def test_each_worker_has_a_port_and_a_static_member_of_its_own():
    settings = settings_from({"http": {"port": 8000}, "kafka": {"instance_id": "shop"}})
    third = settings.of_worker(2)
    assert (third.http.port, third.kafka.instance_id) == (8002, "shop-2")
    assert settings_from({"http": {"port": 0}}).of_worker(2).http.port == 0
    assert settings_from({}).of_worker(1).kafka.instance_id is None
