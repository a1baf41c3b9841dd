"""What stands side by side in the benchmarks of requests, each served by one process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import psycopg

from benchmarks.floors.database import TABLE
from benchmarks.peers import litellm
from benchmarks.stack import Stack
from tests.cluster import START_TIMEOUT
from tests.processes import Process, free_port

_BARE = ("--worker-class", "gevent", "--worker-connections", "10000")
# The tutorials' `flask run` has threads too. gunicorn's default worker would close the connection after each answer.
_TUTORIAL = ("--worker-class", "gthread", "--threads", "16")
_KEEP_ALIVE = "75"
"""Seconds, as Simmer has it."""


class Served(NamedTuple):
    """A server that runs, and its process."""

    url: str
    pid: int


def simmer(stack: Stack) -> Served:
    """Simmer's API, as its documentation starts it."""
    return Served(stack.cluster.api(1), stack.cluster.started("api").pid)


def bare(stack: Stack) -> Served:
    """The bare Flask app, with its table, on the same gunicorn with the worker class that Simmer's is made of."""
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(TABLE)
    return _serve(stack, "bare", "benchmarks.floors.web:app", *_BARE)


def tutorial(stack: Stack) -> Served:
    """The tutorial's Flask app."""
    return _serve(stack, "tutorial", "benchmarks.peers.tutorial:web", *_TUTORIAL)


def tutorial_worker(stack: Stack, concurrency: int) -> Process:
    """The tutorial's worker, with so many processes for tasks."""
    argv = ["celery", "-A", "benchmarks.peers.tutorial", "worker", "-c", str(concurrency), "-n", "tutorial@local"]
    env = {"OPENAI_BASE_URL": stack.upstream_url, "OPENAI_API_KEY": "unused"}
    process = stack.command("tutorial-worker", [*argv, "-l", "INFO"], **env)
    process.wait_log("tutorial@local ready", START_TIMEOUT)
    return process


@contextmanager
def litellm_or_none(stack: Stack, notes: list[str]) -> Iterator[litellm.Litellm | None]:
    """LiteLLM's proxy; None, and a note that tells why, where it can't be installed."""
    with ExitStack() as started:
        try:
            peer = started.enter_context(litellm.running(stack))
        except litellm.UnavailableError as error:
            notes.append(f"not compared with LiteLLM: {error}")
            peer = None
        yield peer


def _serve(stack: Stack, name: str, app: str, *options: str) -> Served:
    port = free_port()
    bind = ("--bind", f"127.0.0.1:{port}", "--workers", "1", "--keep-alive", _KEEP_ALIVE)
    process = stack.command(name, ["gunicorn", *options, *bind, app])
    process.wait_log("Booting worker", START_TIMEOUT)
    return Served(f"http://127.0.0.1:{port}", process.pid)
