"""The commands of Simmer's own processes: secrets stay out of them, and nothing depends on the caller's folder."""

import shlex
import sys
from pathlib import Path

import pytest

from app.stack.example import BODY, curl
from app.stack.services import FlowerLogin, Services

LOGIN = FlowerLogin(user="admin", password="flower-secret", cookie_secret="cookie-secret")
ENV = {"SIMMER_DATABASE_URL": "postgresql://simmer:db-secret@127.0.0.1/simmer", "PATH": "/bin"}


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services(tmp_path, ENV, drain=5)


def test_commands_hold_no_password_and_run_in_the_home(services: Services) -> None:
    specs = [
        services.migrate(),
        services.create_key(),
        services.api(8000),
        services.job_worker(1000),
        services.sync_worker(),
        services.system_worker(),
        services.webhook_worker(),
        services.beat(),
        services.flower(5555, LOGIN),
    ]
    for spec in specs:
        assert "secret" not in " ".join(spec.argv)
        assert spec.argv[0] == sys.executable
        assert spec.cwd == services.home
        assert spec.env["SIMMER_DATABASE_URL"] == ENV["SIMMER_DATABASE_URL"]


def test_flower_gets_its_secrets_through_the_environment_and_nobody_else_does(services: Services) -> None:
    env = services.flower(5555, LOGIN).env
    assert env["FLOWER_BASIC_AUTH"] == "admin:flower-secret"
    assert env["FLOWER_COOKIE_SECRET"] == "cookie-secret"
    assert not any(name.startswith("FLOWER_") for name in services.api(8000).env)


def test_the_servers_listen_on_loopback_alone(services: Services) -> None:
    assert "127.0.0.1:8000" in services.api(8000).argv
    assert "--address=127.0.0.1" in services.flower(5555, LOGIN).argv


def test_each_kind_of_work_has_workers_and_queues_of_its_own(services: Services) -> None:
    jobs, sync, system = services.job_worker(7), services.sync_worker(), services.system_worker()
    assert {"jobs@%h", "priority,default,flex", "7"} <= set(jobs.argv)
    assert {"sync@%h", "sync"} <= set(sync.argv)
    assert {"system@%h", "system"} <= set(system.argv)
    assert {"webhooks@%h", "webhooks"} <= set(services.webhook_worker().argv)


def test_workers_may_drain_before_they_are_killed(services: Services) -> None:
    assert services.job_worker(1).stop_grace > services.drain
    assert services.api(8000).stop_grace > services.drain


def test_the_curl_line_survives_a_shell() -> None:
    words = shlex.split(curl("http://127.0.0.1:8000", "sk-simmer-1"))
    assert words[:2] == ["curl", "http://127.0.0.1:8000/v1/model/response"]
    assert "Authorization: Bearer sk-simmer-1" in words
    assert '"background": true' in words[-1]
    assert BODY["model"] == "gpt-4.1"
