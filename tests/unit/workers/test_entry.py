"""`python -m workers` is Celery's own command, without Flower."""

import os
import runpy
import subprocess
import sys

import pytest
from celery.bin.celery import celery

from tests.loading import loaded

ENV = {"SIMMER_DATABASE_URL": "postgresql://h/d", "SIMMER_BROKER_URL": "redis://127.0.0.1:9/0"}
RUN = "sys.argv = ['workers', *{!r}]; import runpy; runpy.run_module('workers', run_name='__main__')"


@pytest.mark.parametrize("command", ["worker", "beat", "inspect"])
def test_its_commands_are_celerys(command: str) -> None:
    commands = runpy.run_module("workers")["commands"].commands
    assert commands[command] is celery.commands[command]


def test_it_loads_no_flower() -> None:
    used = loaded(RUN.format(["worker", "--help"]), ENV)
    assert "celery" in used
    assert "flower" not in used


def test_greenlets_come_before_everything_else() -> None:
    program = "from gevent import monkey; print(monkey.is_module_patched('threading'), file=sys.stderr)"
    for pool, patched in (("gevent", True), ("prefork", False)):
        script = f"import atexit, sys\natexit.register(lambda: exec({program!r}))\n"
        run = script + RUN.format(["worker", "-P", pool, "--help"])
        env = {**os.environ, **ENV}
        done = subprocess.run(
            [sys.executable, "-c", run], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stderr == f"{patched}\n"


def test_what_is_missing_is_told_in_a_line() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIMMER_")}
    command = [sys.executable, "-m", "workers", "beat"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Set SIMMER_BROKER_URL and SIMMER_DATABASE_URL.")
    assert done.stderr.count("\n") == 1
