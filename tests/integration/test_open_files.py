"""Processes that hold thousands of connections raise the usual limit of 1,024 open files by themselves."""

import subprocess
import sys

import pytest

FEW = 200


@pytest.mark.parametrize("module", ["workers.celery_app", "app.gunicorn"])
def test_the_soft_limit_is_raised(module: str) -> None:
    code = f"import resource, {module}; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    script = f'ulimit -Sn {FEW} && exec "$0" -c "{code}"'
    env = {"SIMMER_DATABASE_URL": "postgresql://h/d", "SIMMER_BROKER_URL": "redis://h/0"}
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    soft, hard = map(int, done.stdout.split())
    assert soft == min(hard, 65_536) > FEW
