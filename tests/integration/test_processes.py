"""Processes that tests start: logs, signals, freezing, memory, and no child left behind."""

import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import DeadlineError, Process, free_port, wait_until

DEADLINE = 20.0
WAIT = "import signal; signal.pause()"
COUNT = "import itertools, time\nfor n in itertools.count(): print('tick', n, flush=True); time.sleep(0.01)"
WITH_CHILD = f"""
import subprocess, sys, signal
print("child", subprocess.Popen([sys.executable, "-c", {WAIT!r}]).pid, flush=True)
signal.pause()
"""
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)

POLITE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True)\n"
    "while True: signal.pause()"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "process.log"


def python(code: str, log: Path, env: dict[str, str] | None = None) -> Process:
    return Process([sys.executable, "-c", code], log=log, env=env)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_output_and_environment(log: Path) -> None:
    with python("import os; print('hello', os.environ['NAME'])", log, {"NAME": "you"}) as process:
        assert process.wait_log("hello", DEADLINE) == "hello you"
        assert process.wait(DEADLINE) == 0


def test_a_log_is_read_from_this_start_on(log: Path) -> None:
    log.write_text("ready, long ago\n")
    with python(WAIT, log) as process, pytest.raises(DeadlineError, match="ready"):
        process.wait_log("ready", 0.1)


def test_a_log_is_read_from_a_mark_on(log: Path) -> None:
    with python(COUNT, log) as process:
        process.wait_log("tick 5", DEADLINE)
        mark = process.log_size()
        assert process.wait_log("tick", DEADLINE, since=mark) != "tick 0"
        assert "tick 0\n" in process.output()


def test_waiting_for_the_log_of_a_dead_process_fails_at_once(log: Path) -> None:
    with python("print('last words'); raise SystemExit(3)", log) as process:
        with pytest.raises(DeadlineError, match=r"(?s)ended with 3.*last words"):
            process.wait_log("ready", 3_600)
        assert process.returncode == 3


def test_kill_hits_the_process_alone(log: Path) -> None:
    with python(WITH_CHILD, log) as process:
        child = int(process.wait_log("child", DEADLINE).split()[1])
        process.kill()
        assert process.wait(DEADLINE) == -signal.SIGKILL
        assert is_alive(child)
    wait_until(lambda: not is_alive(child), DEADLINE, "end of the child")


def test_stop_is_polite_first(log: Path) -> None:
    with python(WAIT, log) as process:
        assert process.running
        assert process.stop() == -signal.SIGTERM
        assert not process.running


def test_stop_kills_what_does_not_listen(log: Path) -> None:
    with python(STUBBORN, log) as process:
        process.wait_log("up", DEADLINE)
        assert process.stop(timeout=0.2) == -signal.SIGKILL


def test_a_frozen_process_stands_still_until_it_is_resumed(log: Path) -> None:
    with python(COUNT, log) as process:
        process.wait_log("tick", DEADLINE)
        process.freeze()
        frozen = psutil.Process(process.pid)
        wait_until(lambda: frozen.status() == psutil.STATUS_STOPPED, DEADLINE, "the process to stand still")
        mark = process.log_size()
        with pytest.raises(DeadlineError):
            process.wait_log("tick", 0.2, since=mark)
        process.resume()
        process.wait_log("tick", DEADLINE, since=mark)


def test_a_frozen_process_can_still_end_by_its_own_rules(log: Path) -> None:
    with python(POLITE, log) as process:
        process.wait_log("up", DEADLINE)
        process.freeze()
        assert process.stop() == 7


def test_memory_covers_children(log: Path) -> None:
    with python(WITH_CHILD, log) as process:
        child = int(process.wait_log("child", DEADLINE).split()[1])
        alone = psutil.Process(process.pid).memory_info().rss
        memory = process.memory()
        assert memory.rss >= alone + psutil.Process(child).memory_info().rss // 2
        assert 0 < memory.pss < memory.rss


def test_wait_until_returns_what_it_waited_for() -> None:
    answers = iter([0, "", "here"])
    assert wait_until(lambda: next(answers), DEADLINE, "an answer") == "here"


def test_wait_until_tells_what_it_saw_last() -> None:
    with pytest.raises(DeadlineError, match=r"the moon.*last seen: 0"):
        wait_until(lambda: 0, 0.01, "the moon")


def test_a_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass
