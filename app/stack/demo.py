"""`simmer demo`: the contract's example on the real stack, in a temporary home, from start to finish."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from app.settings import Settings
from app.stack.assembly import Options, RunningStack, running_stack
from app.stack.console import Console
from app.stack.destroy import destroy_home
from app.stack.errors import StackError, StopRequestedError
from app.stack.example import BODY, PATH
from app.stack.http import basic, call

JOB_DEADLINE = 180.0
FLOWER_DEADLINE = 15.0
POLL_INTERVAL = 0.2
LOG_TAIL = 60
TERMINAL = {"completed", "failed", "cancelled"}


class Demo:
    """One run; `show` writes to the terminal, everything else goes to a log."""

    def __init__(self, settings: Settings, stream: IO[str]) -> None:
        self._settings = settings
        self._stream = stream

    def run(self) -> bool:
        """Whether the job completed. Raises StackError when the stack doesn't start."""
        with temporary_home() as home, (home / "demo.log").open("w") as log:
            # the demo shows the embedded default, whatever the caller has set up
            alone = {"home": home, "database_url": "", "broker_url": "", "models": None}
            settings = self._settings.model_copy(update=alone)
            try:
                completed = self._start_and_stop(settings, Console(log))
            except StopRequestedError:
                raise
            except BaseException:
                self._show_log(home / "demo.log")
                raise
            if not completed:
                self._show_log(home / "demo.log")
        return completed

    def _start_and_stop(self, settings: Settings, console: Console) -> bool:
        self._show("Starting PostgreSQL, Valkey, a small model, the API, four workers, beat and Flower …")
        begun = time.monotonic()
        with running_stack(settings, Options(port=0, flower_port=0), console) as stack:
            self._show(f"Everything is ready after {time.monotonic() - begun:.1f} s.\n")
            completed = self._example(stack)
            self._show("\nStopping everything …")
        return completed

    def _example(self, stack: RunningStack) -> bool:
        authorization = f"Bearer {stack.addresses.api_key}"
        url = stack.addresses.api_url + PATH
        self._show(f"POST {url}\n{json.dumps(BODY)}\n")
        begun = time.monotonic()
        status, job = call(url, authorization=authorization, body=BODY)
        if status != 200:
            raise StackError(f"the API answered {status}: {job}")
        self._show_status(job, begun)
        self._follow(stack, f"{url}/{job['id']}", authorization, job, begun)
        self._show_result(job)
        self._show(_seen_by_flower(stack, job["id"]))
        return bool(job["status"] == "completed")

    def _follow(self, stack: RunningStack, url: str, authorization: str, job: dict[str, Any], begun: float) -> None:
        """Poll the job to its end, showing each status once; `job` becomes its last state."""
        next_poll = begun

        def ended() -> bool:
            nonlocal next_poll
            if time.monotonic() < next_poll:
                return False
            next_poll = time.monotonic() + POLL_INTERVAL
            shown = job["status"]
            job.update(call(url, authorization=authorization)[1])
            if job["status"] != shown:
                self._show_status(job, begun)
            if time.monotonic() - begun > JOB_DEADLINE:
                raise StackError(f"the job was still {job['status']} after {JOB_DEADLINE:g} s")
            return job["status"] in TERMINAL

        stack.supervisor.run(on_change=stack.write_runfile, until=ended)
        if stack.supervisor.stopping:
            raise StopRequestedError("stopped before the job ended")

    def _show_status(self, job: dict[str, Any], begun: float) -> None:
        self._show(f"{time.monotonic() - begun:6.1f} s  {job['id']}  {job['status']}")

    def _show_result(self, job: dict[str, Any]) -> None:
        for item in job.get("output") or []:
            for part in item.get("content") or []:
                self._show(f"\n{part.get('text', '')}")
        self._show(f"\nusage   {job.get('usage')}")
        if job.get("error"):
            self._show(f"error   {job['error']}")

    def _show_log(self, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()
        self._show("\n".join(["", f"The last {LOG_TAIL} lines of the log:", *lines[-LOG_TAIL:]]))

    def _show(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A home that is gone afterwards, with the database that may lie outside of it."""
    with tempfile.TemporaryDirectory(prefix="simmer-demo-") as folder:
        home = Path(folder)
        if os.geteuid() == 0:
            # the database runs as another user and must get through
            home.chmod(0o755)
        try:
            yield home
        finally:
            destroy_home(home)


def _seen_by_flower(stack: RunningStack, task: str) -> str:
    """Flower's own word on the task; it learns of an end by an event, a moment later."""
    addresses = stack.addresses
    login = basic(addresses.flower_user, addresses.flower_password)
    deadline = time.monotonic() + FLOWER_DEADLINE
    state = "unknown"
    while state not in {"SUCCESS", "FAILURE", "REVOKED"} and time.monotonic() < deadline:
        status, info = call(f"{addresses.flower_url}/api/task/info/{task}", authorization=login)
        state = info["state"] if status == 200 else state
        time.sleep(POLL_INTERVAL)
    return f"Flower  {addresses.flower_url}/task/{task}  {state}"
