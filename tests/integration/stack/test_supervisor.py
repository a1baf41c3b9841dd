"""The supervisor on stand-in processes: order, restarts, both ways to stop, and no orphan, however it ends."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import Process, wait_until

TIMEOUT = 60
STAND_IN = "tests.integration.stack.stand_in"
ROOT = Path(__file__).parents[3]

READY = "import os, signal, sys, time, pathlib; print('hello from', os.getpid())\n"
SERVE = READY + "pathlib.Path(os.environ['READY']).touch()\nwhile True: signal.pause()"
# says when it is asked to stop, and leaves
ORDERLY = (
    READY
    + """
def stop(*_):
    with open(os.environ['HOME_FOLDER'] + '/stops', 'a') as file:
        file.write(pathlib.Path(os.environ['READY']).stem + '\\n')
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(os.environ['READY']).touch()
while True: signal.pause()
"""
)
STUBBORN = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVE.removeprefix(READY)
# like a server with workers: two children, which ignore SIGTERM and do not watch their parent
FORKING = (
    READY
    + """
for _ in range(2):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: signal.pause()
pathlib.Path(os.environ['READY']).touch()
while True: signal.pause()
"""
)
DYING = READY + "pathlib.Path(os.environ['READY']).touch(); time.sleep(0.2); sys.exit(7)"


def plan(*batches: dict[str, str]) -> str:
    return json.dumps([[{"name": name, "code": code} for name, code in batch.items()] for batch in batches])


class StandIn(Process):
    """The supervisor's process and all that descends from it, the guard too."""

    def __init__(self, home: Path, plan: str) -> None:
        super().__init__([sys.executable, "-m", STAND_IN, str(home), plan], log=home / "log", cwd=ROOT)
        self.family: list[psutil.Process] = []

    def wait_ready(self) -> None:
        self.wait_log("all ready", TIMEOUT)
        self.note_family()

    def note_family(self) -> None:
        known = {process.pid for process in self.family}
        members = psutil.Process(self.pid).children(recursive=True)
        self.family += [member for member in members if member.pid not in known]

    def pids_of(self, name: str) -> list[int]:
        return [int(pid) for pid in re.findall(rf"{name} +\| hello from (\d+)", self.output())]

    def wait_nothing_left(self) -> None:
        assert len(self.family) > 1
        wait_until(lambda: not [p for p in self.family if _runs(p)], TIMEOUT, "no orphan is left")

    def end(self) -> None:
        self.stop(TIMEOUT)
        for process in self.family:
            if _runs(process):
                process.kill()


def _runs(process: psutil.Process) -> bool:
    # nobody may be there to remove a zombie whose parent was killed
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_guard(process: psutil.Process) -> bool:
    return _runs(process) and "app.stack.guard" in process.cmdline()


@pytest.fixture
def started() -> Iterator[list[StandIn]]:
    running: list[StandIn] = []
    yield running
    for one in running:
        one.end()


def start(started: list[StandIn], home: Path, *batches: dict[str, str]) -> StandIn:
    one = StandIn(home, plan(*batches))
    started.append(one)
    return one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_stops_the_youngest_batch_first(
    tmp_path: Path, started: list[StandIn], number: signal.Signals
) -> None:
    one = start(started, tmp_path, {"first": ORDERLY}, {"second": ORDERLY}, {"third": ORDERLY})
    one.wait_ready()
    one.kill(number)
    assert one.wait(TIMEOUT) == 0
    assert (tmp_path / "stops").read_text().split() == ["third", "second", "first"]
    one.wait_nothing_left()


def test_ctrl_c_reaches_the_supervisor_alone(tmp_path: Path, started: list[StandIn]) -> None:
    """The terminal signals its whole foreground group; a child that got it would end with a KeyboardInterrupt."""
    one = start(started, tmp_path, {"server": ORDERLY})
    one.wait_ready()
    os.killpg(one.pid, signal.SIGINT)
    assert one.wait(TIMEOUT) == 0
    assert (tmp_path / "stops").read_text() == "server\n"
    assert "KeyboardInterrupt" not in one.output()


def test_a_batch_waits_until_the_one_before_is_ready(tmp_path: Path, started: list[StandIn]) -> None:
    late = READY + "time.sleep(0.5); print('now')\n" + SERVE.removeprefix(READY)
    one = start(started, tmp_path, {"first": late}, {"second": SERVE})
    one.wait_ready()
    lines = one.output()
    assert lines.index("first    | now") < lines.index("second   | hello")


def test_a_child_that_is_killed_is_started_again_and_it_says_so(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"server": SERVE}, {"other": SERVE})
    one.wait_ready()
    (pid,) = one.pids_of("server")
    os.kill(pid, signal.SIGKILL)
    one.wait_log(f"server (pid {pid}) was killed by SIGKILL; starting it again in 0.5 s", TIMEOUT)
    wait_until(lambda: len(one.pids_of("server")) == 2, TIMEOUT, "the server runs again")
    one.wait_log("pids changed: ['other', 'server']", TIMEOUT)
    assert len(one.pids_of("other")) == 1


def test_what_a_killed_child_leaves_behind_is_ended_before_it_starts_again(
    tmp_path: Path, started: list[StandIn]
) -> None:
    one = start(started, tmp_path, {"server": FORKING})
    one.wait_ready()
    (pid,) = one.pids_of("server")
    orphans = psutil.Process(pid).children()
    assert len(orphans) == 2
    os.kill(pid, signal.SIGKILL)
    one.wait_log("server started again", TIMEOUT)
    assert not [orphan for orphan in orphans if _runs(orphan)]
    one.note_family()


def test_a_child_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"server": DYING})
    for pause in ("0.5", "1", "2", "4"):
        one.wait_log(f"ended with exit code 7; starting it again in {pause} s", TIMEOUT)
    one.kill(signal.SIGTERM)
    # also in the middle of a pause
    assert one.wait(TIMEOUT) == 0


def test_a_child_that_ends_while_starting_stops_the_rest_and_says_why(tmp_path: Path, started: list[StandIn]) -> None:
    broken = READY + "print('no such table'); sys.exit(3)"
    one = start(started, tmp_path, {"first": ORDERLY}, {"second": broken})
    assert one.wait(TIMEOUT) == 1
    output = one.output()
    assert "second   | no such table" in output
    assert "StartError: second ended with exit code 3" in output
    assert (tmp_path / "stops").read_text() == "first\n"


def test_a_child_that_never_gets_ready_has_a_deadline(tmp_path: Path, started: list[StandIn]) -> None:
    entry = {"name": "mute", "code": READY + "signal.pause()", "ready_timeout": 1}
    one = StandIn(tmp_path, json.dumps([[entry]]))
    started.append(one)
    assert one.wait(TIMEOUT) == 1
    assert "mute was not ready within 1 s" in one.output()


def test_a_stop_while_starting_stops_what_runs_already(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"first": ORDERLY}, {"mute": READY + "signal.pause()"})
    one.wait_log("mute     | hello", TIMEOUT)
    one.note_family()
    one.kill(signal.SIGTERM)
    assert one.wait(TIMEOUT) == 1
    assert "StopRequestedError" in one.output()
    assert (tmp_path / "stops").read_text() == "first\n"
    one.wait_nothing_left()


def test_a_child_that_ignores_its_stop_signal_is_killed_after_its_grace(tmp_path: Path, started: list[StandIn]) -> None:
    entry = {"name": "stubborn", "code": STUBBORN, "stop_grace": 1}
    one = StandIn(tmp_path, json.dumps([[entry]]))
    started.append(one)
    one.wait_ready()
    one.kill(signal.SIGTERM)
    assert one.wait(TIMEOUT) == 0
    assert "stubborn did not stop within 1 s: killing it" in one.output()
    one.wait_nothing_left()


def test_a_second_ctrl_c_kills_what_is_slow(tmp_path: Path, started: list[StandIn]) -> None:
    entry = {"name": "stubborn", "code": STUBBORN, "stop_grace": 10 * TIMEOUT}
    one = StandIn(tmp_path, json.dumps([[entry]]))
    started.append(one)
    one.wait_ready()

    def ended_by_another_signal() -> bool:
        one.kill(signal.SIGINT)
        return not one.running

    wait_until(ended_by_another_signal, TIMEOUT, "an impatient stop")
    assert "killing it" in one.output()
    one.wait_nothing_left()


def test_a_stop_leaves_no_grandchild(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"server": FORKING})
    one.wait_ready()
    one.kill(signal.SIGTERM)
    assert one.wait(TIMEOUT) == 0
    one.wait_nothing_left()


def test_after_kill_9_of_the_supervisor_nothing_is_left_and_the_stop_is_still_in_order(
    tmp_path: Path, started: list[StandIn]
) -> None:
    one = start(started, tmp_path, {"first": ORDERLY}, {"forking": FORKING}, {"third": ORDERLY})
    one.wait_ready()
    assert len(one.family) == 6
    one.kill(signal.SIGKILL)
    one.wait_nothing_left()
    assert (tmp_path / "stops").read_text().split() == ["third", "first"]


def test_after_kill_9_the_home_is_free_only_when_everything_is_gone(tmp_path: Path, started: list[StandIn]) -> None:
    entry = {"name": "stubborn", "code": STUBBORN}
    one = StandIn(tmp_path, json.dumps([[entry]]))
    started.append(one)
    one.wait_ready()
    one.kill(signal.SIGKILL)
    two = start(started, tmp_path, {"server": SERVE})
    two.wait_log("hello", TIMEOUT)
    # the first sign of the second: by then the guard of the first has let go of the home, hence killed its child
    assert not any(_runs(process) for process in one.family if not _is_guard(process))


def test_a_second_supervisor_on_the_same_home_is_refused(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"server": SERVE})
    one.wait_ready()
    two = start(started, tmp_path, {"server": SERVE})
    assert two.wait(TIMEOUT) == 1
    assert f"runs in {tmp_path} already (process {one.pid})" in two.output()
    assert one.running


def test_a_killed_guard_is_replaced(tmp_path: Path, started: list[StandIn]) -> None:
    one = start(started, tmp_path, {"server": FORKING})
    one.wait_ready()
    (guard,) = [process for process in one.family if _is_guard(process)]
    guard.kill()

    def new_guard() -> bool:
        one.note_family()
        return any(_is_guard(process) for process in one.family if process.pid != guard.pid)

    wait_until(new_guard, TIMEOUT, "another guard")
    one.kill(signal.SIGKILL)
    one.wait_nothing_left()
