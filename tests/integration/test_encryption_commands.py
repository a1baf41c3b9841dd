"""`simmer encryption` as an operator uses it: make a key, switch it on, change it, see what is left, switch it off."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.cli import main
from app.db import webhook_secrets
from app.db.engine import Database
from app.domain.encryption import parse_keys
from app.domain.lifecycle import Status
from app.settings import Settings
from tests import rows
from tests.encryption import keys

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str) -> Run:
    """The entry point with these keys set: exit code, stdout, stderr."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIMMER_{name.upper()}", raising=False)
    monkeypatch.setenv("SIMMER_DATABASE_URL", database_url)

    def ended(ids: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("SIMMER_ENCRYPTION_KEYS", keys(*ids.split()))
        monkeypatch.setattr("sys.argv", ["simmer", "encryption", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capfd.readouterr()

    return ended


def put(database: Database, count: int) -> None:
    with database.transaction() as connection:
        owner = rows.add_owner(connection)
        for _ in range(count):
            rows.put(connection, owner, Status.COMPLETED)


def states(run: Run, ids: str) -> list[tuple[Any, Any, Any]]:
    code, shown, _ = run(ids, "status", "--json")
    assert code == 0
    return [(use["key"], use["state"], use["jobs"]) for use in json.loads(shown)]


def test_a_new_key_is_an_entry_of_the_setting(run: Run) -> None:
    code, shown, _ = run("", "new-key")
    assert code == 0
    assert len(parse_keys(shown).keys) == 1
    code, shown, _ = run("", "new-key", "--json")
    told = json.loads(shown)
    assert (code, parse_keys(told["entry"]).current) == (0, told["key"])


def test_encryption_is_switched_on_rotated_and_switched_off(run: Run, own_database: Database) -> None:
    put(own_database, 3)
    assert states(run, "") == [(None, "not encrypted", 3)]
    assert states(run, "a") == [(None, "not encrypted", 3), ("a", "current", 0)]
    code, shown, said = run("a", "rotate")
    assert (code, said) == (0, "")
    assert shown.startswith("Rewritten: 3\nKEY ")
    assert states(run, "b a") == [(None, "not encrypted", 0), ("a", "old", 3), ("b", "current", 0)]
    assert run("b a", "rotate")[0] == 0
    assert states(run, "b") == [(None, "not encrypted", 0), ("b", "current", 3)]
    assert run("off b", "rotate")[0] == 0
    assert states(run, "") == [(None, "not encrypted", 3)]


def test_what_could_not_be_rotated_is_told(run: Run, own_database: Database) -> None:
    put(own_database, 2)
    assert run("a", "rotate")[0] == 0
    code, shown, said = run("b", "rotate")
    assert code == 1
    assert shown.splitlines()[0] == "Rewritten: 0"
    assert [line.split() for line in shown.splitlines()[3:]] == [["a", "missing", "2", "0"], ["b", "current", "0", "0"]]
    assert said == "Error: Some are left: run it again, and give it all keys that they need.\n"


def test_webhook_secrets_are_counted_and_rotated_too(run: Run, own_database: Database) -> None:
    with own_database.transaction() as connection:
        owner = rows.add_owner(connection)
        for endpoint in (None, rows.add_endpoint(connection, owner, "https://hooks.example.com/")):
            webhook_secrets.add(connection, owner, endpoint)
        told = webhook_secrets.get(connection, owner, None)

    def secrets(ids: str) -> dict[str | None, int]:
        return {use["key"]: use["secrets"] for use in json.loads(run(ids, "status", "--json")[1])}

    assert secrets("a") == {None: 2, "a": 0}
    for ids, wanted in (("a", {None: 0, "a": 2}), ("b a", {None: 0, "a": 0, "b": 2}), ("off b", {None: 2, "b": 0})):
        assert run(ids, "rotate")[1].startswith("Rewritten: 2\n")
        assert run(ids, "rotate")[1].startswith("Rewritten: 0\n")
        assert secrets(ids) == wanted
    with own_database.transaction() as connection:
        assert webhook_secrets.get(connection, owner, None) == told
    assert run("a", "rotate")[0] == 0
    assert run("b", "rotate")[0] == 1


def test_programs_get_json_alone(run: Run, own_database: Database) -> None:
    put(own_database, 1)
    code, shown, said = run("a", "rotate", "--json")
    assert (code, said) == (0, "Rewritten: 1\n")
    assert json.loads(shown)[1] == {"key": "a", "state": "current", "jobs": 1, "secrets": 0}


def test_there_is_nothing_to_rotate_to_without_keys(run: Run) -> None:
    assert run("", "rotate") == (
        1,
        "",
        "Error: Set SIMMER_ENCRYPTION_KEYS first. `simmer encryption new-key` makes a key.\n",
    )
