"""Run one process of the stack without its supervisor."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from app.stack.process import ProcessSpec
from tests.processes import wait_until

START_TIMEOUT = 60
STOP_TIMEOUT = 30


@contextmanager
def running(spec: ProcessSpec) -> Iterator[psutil.Popen]:
    """The process of a spec, ready to serve; stopped with its own stop signal, which must end it in order."""
    process = psutil.Popen(
        spec.argv,
        env=dict(spec.env),
        cwd=spec.cwd,
        user=spec.uid,
        group=spec.gid,
        extra_groups=None if spec.uid is None else [],
        start_new_session=True,
    )
    try:
        ready = spec.ready
        assert ready is not None
        wait_until(lambda: process.poll() is not None or ready(), START_TIMEOUT, f"{spec.name} is ready")
        assert process.poll() is None
        yield process
        if process.poll() is None:
            process.send_signal(spec.stop_signal)
            process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{spec.name} did not stop on {spec.stop_signal.name}") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_TIMEOUT)
