"""The `simmer` command on a real database."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.cli import main
from app.container import Container
from app.domain.errors import ExpiredKeyError, InvalidKeyError
from app.domain.rates import Rate
from app.domain.scopes import DEFAULT_SCOPES
from app.settings import Settings
from tests.processes import free_port

DEADLINE = 60
UNKNOWN = "0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Simmer = Callable[..., Done]
Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The entry point on a database, in this process: a new one for each command would take a second."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIMMER_{name.upper()}", raising=False)

    def ended(url: str, *arguments: str) -> Done:
        monkeypatch.setenv("SIMMER_DATABASE_URL", url)
        monkeypatch.setattr("sys.argv", ["simmer", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Done(int(left.value.code or 0), *capfd.readouterr())

    return ended


@pytest.fixture
def simmer(run: Run, database_url: str) -> Simmer:
    return partial(run, database_url)


@pytest.fixture
def keys(database_url: str) -> Container:
    return Container(Settings(database_url=database_url))


def output(done: Done) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refusal(done: Done) -> str:
    """Exit code 1, nothing on stdout, one line on stderr."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def created(simmer: Simmer, *arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(output(simmer("keys", "create", "--json", *arguments)))
    return made


def test_a_keys_life(simmer: Simmer, keys: Container) -> None:
    made = created(simmer, "--name", "first")
    assert set(made) == {
        "id", "name", "state", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at", "limits", "key"
    }  # fmt: skip
    assert (made["name"], made["state"], made["expires_at"]) == ("first", "active", None)
    assert made["scopes"] == list(DEFAULT_SCOPES)
    caller = keys.keys.verify(made["key"])
    assert str(caller.api_key_id) == made["id"]

    rotated = json.loads(output(simmer("keys", "rotate", made["id"], "--overlap-hours", "0", "--json")))
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    fresh = Container(keys.settings)
    with pytest.raises(ExpiredKeyError):
        fresh.keys.verify(made["key"])
    assert fresh.keys.verify(rotated["key"]) == caller

    assert output(simmer("keys", "revoke", made["id"])) == "Revoked.\n"
    with pytest.raises(InvalidKeyError):
        Container(keys.settings).keys.verify(rotated["key"])
    (listed,) = json.loads(output(simmer("keys", "list", "--json")))
    assert (listed["id"], listed["state"]) == (made["id"], "revoked")
    assert listed["last_used_at"]
    assert "key" not in listed


def test_without_settings_the_stack_that_runs_in_the_home_is_meant(
    run: Run, simmer: Simmer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = created(simmer, "--name", "first")
    monkeypatch.setenv("SIMMER_HOME", str(tmp_path))
    assert "SIMMER_DATABASE_URL" in refusal(run("", "keys", "list"))
    (tmp_path / "run.json").write_text(json.dumps({"database_url": database_url, "broker_url": "redis://h/0"}))
    (listed,) = json.loads(output(run("", "keys", "list", "--json")))
    assert listed["id"] == made["id"]


def test_scopes_and_days(simmer: Simmer) -> None:
    made = created(simmer, "--name", "x", "--scope", "admin", "--scope", "webhooks", "--days", "2")
    assert made["scopes"] == ["admin", "webhooks"]
    assert made["expires_at"]
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=1.9) < left < timedelta(days=2.1)


def test_people_see_the_key_once(simmer: Simmer) -> None:
    shown = output(simmer("keys", "create", "--name", "for people"))
    (key,) = [line.strip() for line in shown.splitlines() if line.strip().startswith("sk-simmer-")]
    assert "can't be shown again" in shown
    listed = output(simmer("keys", "list"))
    head, row = listed.splitlines()
    assert head.split()[:3] == ["ID", "NAME", "STATE"]
    assert "for people" in row
    assert "active" in row
    assert key not in listed
    assert key[10:] not in output(simmer("keys", "list", "--json"))


def test_programs_are_told_of_a_revoked_key(simmer: Simmer) -> None:
    made = created(simmer, "--name", "x")
    assert json.loads(output(simmer("keys", "revoke", made["id"], "--json"))) == {"id": made["id"], "revoked": True}


def test_people_see_no_control_characters_in_names(simmer: Simmer) -> None:
    made = created(simmer, "--name", "a\x1bb")
    assert made["name"] == "a\x1bb"
    shown = output(simmer("keys", "limit", made["id"], "--max-queued", "1")) + output(simmer("keys", "list"))
    assert shown.count("a\\x1bb") == 2
    assert "\x1b" not in shown


def test_a_list_of_none(simmer: Simmer) -> None:
    assert json.loads(output(simmer("keys", "list", "--json"))) == []
    assert len(output(simmer("keys", "list")).splitlines()) == 1


NO_LIMITS = {"create_rate": None, "poll_rate": None, "max_active": None, "max_queued": None}


def test_a_keys_own_limits(simmer: Simmer, keys: Container) -> None:
    made = created(simmer, "--name", "x", "--create-rate", "60/60 seconds", "--max-active", "2")
    assert made["limits"] == NO_LIMITS | {"create_rate": "60/minute", "max_active": 2}
    limits = keys.keys.verify(made["key"]).limits
    assert (limits.create_rate, limits.poll_rate, limits.max_active) == (Rate(60, 60), Rate(60_000, 60), 2)
    changed = json.loads(output(simmer("keys", "limit", made["id"], "--json", "--poll-rate", "5/10 seconds")))
    assert changed["limits"] == made["limits"] | {"poll_rate": "5/10 seconds"}
    assert set(changed) == set(made) - {"key"}
    shown = output(simmer("keys", "list")).splitlines()[1]
    assert shown.endswith("create_rate 60/minute, poll_rate 5/10 seconds, max_active 2")
    said = output(simmer("keys", "limit", made["id"], "--default", "--max-queued", "1"))
    assert said == f"x  {made['id']}  max_queued 1\n"
    output(simmer("keys", "limit", made["id"], "--default"))
    (listed,) = json.loads(output(simmer("keys", "list", "--json")))
    assert listed["limits"] == NO_LIMITS
    assert output(simmer("keys", "list")).splitlines()[1].endswith("  -")


def test_a_change_of_no_limit(simmer: Simmer) -> None:
    assert "Name a limit to change" in refusal(simmer("keys", "limit", created(simmer, "--name", "x")["id"]))


@pytest.mark.parametrize("action", [["rotate"], ["revoke"], ["limit", "--max-active", "1"]])
def test_a_key_that_is_not_in_use(simmer: Simmer, action: list[str]) -> None:
    assert "no such key that is in use" in refusal(simmer("keys", *action, UNKNOWN))
    made = created(simmer, "--name", "x")
    output(simmer("keys", "revoke", made["id"]))
    assert "no such key that is in use" in refusal(simmer("keys", *action, made["id"]))


def test_migrate_is_harmless_the_second_time(empty_database_url: str, run: Run) -> None:
    for _ in range(2):
        done = run(empty_database_url, "migrate")
        assert (done.returncode, done.stdout) == (0, "The database is up to date.\n")
    assert run(empty_database_url, "keys", "list").returncode == 0
    assert json.loads(output(run(empty_database_url, "migrate", "--json"))) == {"up_to_date": True}


def test_a_database_that_was_not_migrated_is_named(empty_database_url: str, run: Run) -> None:
    for arguments in (["keys", "list"], ["keys", "create", "--name", "x"], ["keys", "revoke", UNKNOWN]):
        assert "Run `simmer migrate`" in refusal(run(empty_database_url, *arguments))


def test_a_database_that_is_not_there(run: Run) -> None:
    url = f"postgresql://u:canary-6a6a@127.0.0.1:{free_port()}/none"
    for arguments in (["migrate", "--timeout", "0.1"], ["keys", "list"]):
        said = refusal(run(url, *arguments))
        assert "The database is not available" in said
        assert "canary-6a6a" not in said


def test_the_installed_command(database_url: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("simmer"), "keys", "create", "--name", "process", "--json"],
        env={**os.environ, "SIMMER_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(done.stdout)["name"] == "process"
    assert done.stderr == ""
