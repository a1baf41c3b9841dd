"""`simmer webhooks` as an operator uses it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from app.cli import main
from app.db.engine import Database
from app.settings import Settings
from tests import rows
from tests.integration.services.endpoints import deliver

URL = "https://192.88.98.1/simmer"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str, broker_url: str) -> Run:
    """The entry point: exit code, stdout, stderr."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIMMER_{name.upper()}", raising=False)
    monkeypatch.setenv("SIMMER_DATABASE_URL", database_url)
    monkeypatch.setenv("SIMMER_BROKER_URL", broker_url)

    def ended(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["simmer", "webhooks", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capfd.readouterr()

    return ended


@pytest.fixture
def key(own_database: Database) -> str:
    with own_database.transaction() as connection:
        return str(rows.add_owner(connection))


def told(run: Run, *arguments: str) -> Any:
    """What programs read; it must be JSON and nothing else."""
    code, shown, said = run(*arguments, "--json")
    assert (code, said) == (0, "")
    return json.loads(shown)


def make(run: Run, key: str, *more: str) -> Any:
    return told(run, "create", "--key", key, "--url", URL, *more)


def test_an_endpoint_from_its_creation_to_its_end(run: Run, key: str) -> None:
    made = make(run, key, "--event", "response.failed", "--description", "d")
    assert (made["url"], made["events"], made["key"], made["state"]) == (URL, ["response.failed"], key, "enabled")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert told(run, "show", made["id"]) == made
    assert told(run, "list", "--key", key) == [made]
    for command in (("show", made["id"]), ("list", "--key", key)):
        code, shown, _ = run(*command)
        assert code == 0
        assert made["id"] in shown
        assert URL in shown
        assert secret not in shown
    off = told(run, "update", made["id"], "--disable", "--description", "", "--event", "response.completed")
    assert (off["state"], off["description"], off["events"]) == ("disabled_by_owner", None, ["response.completed"])
    assert told(run, "update", made["id"], "--enable", "--url", f"{URL}/b")["url"] == f"{URL}/b"
    assert told(run, "delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert run("show", made["id"]) == (1, "", "Error: There is no webhook endpoint with this id.\n")


def test_people_are_told_to_keep_the_secret(run: Run, key: str) -> None:
    code, shown, said = run("create", "--key", key, "--url", URL)
    assert code == 0
    assert "whsec_" in shown
    assert said == "Keep it now: it can't be shown again.\n"
    endpoint = shown.split()[0]
    assert run("test", endpoint)[1].endswith(" is on its way.\n")
    assert run("delete", endpoint)[1] == "Deleted.\n"


def test_secrets_are_shown_and_rotated(run: Run, key: str) -> None:
    first = told(run, "secret", "--key", key)
    assert told(run, "secret", "--key", key) == first
    assert first["previous_expires_at"] is None
    second = told(run, "rotate-secret", "--key", key, "--overlap", "60")
    assert second["previous_expires_at"]
    assert told(run, "secret", "--key", key) == second
    made = make(run, key)
    assert told(run, "rotate-secret", made["id"])["secret"] not in {made["secret"], second["secret"]}
    code, shown, said = run("rotate-secret", made["id"])
    assert (code, shown[:6]) == (0, "whsec_")
    assert said.startswith("The one before signs as well until 20")


def test_deliveries_are_listed_and_sent_once_more(run: Run, key: str, own_database: Database) -> None:
    endpoint = make(run, key)["id"]
    known = UUID(hex=endpoint.removeprefix("whe_"))
    failed, delivered = (f"evt_{deliver(own_database, known, status).hex}" for status in ("failed", "delivered"))
    sent = told(run, "test", endpoint)
    assert (sent["type"], sent["status"], sent["data_id"]) == ("webhook.test", "pending", endpoint)
    listed = told(run, "deliveries", endpoint)
    assert [one["event"] for one in listed] == [sent["event"], delivered, failed]
    assert [one["event"] for one in told(run, "deliveries", endpoint, "--status", "failed")] == [failed]
    code, shown, said = run("deliveries", endpoint, "--limit", "1", "--after", sent["event"])
    assert code == 0
    assert delivered in shown
    assert failed not in shown
    assert said == f"There are more: --after {delivered}\n"
    assert told(run, "replay", endpoint, "--since", "2999-01-01") == {"replayed": 0, "has_more": False}
    assert told(run, "replay", endpoint, "--since", "2020-01-01T00:00:00Z") == {"replayed": 1, "has_more": False}
    assert told(run, "replay", endpoint, delivered)["status"] == "pending"
    assert run("replay", endpoint, delivered)[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "whe_canary"),
        ("show", "evt_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"),
        ("replay", "whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"),
        ("replay", "whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03", "--since", "canary"),
        ("rotate-secret",),
        ("update", "whe_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"),
        ("create", "--key", "canary", "--url", URL),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    code, shown, said = run(*arguments)
    assert (code, shown) == (2, "")
    assert "Error: " in said


def test_a_url_that_is_not_allowed_and_a_key_that_is_not_there(run: Run, key: str) -> None:
    code, shown, said = run("create", "--key", key, "--url", "https://127.0.0.1/")
    assert (code, shown) == (1, "")
    assert said == "Error: Use an address that anybody on the internet can reach.\n"
    assert run("secret", "--key", "0198f3c2-a1b4-7d0c-9e5f-2a6b8c7d1e03")[0] == 1
    assert told(run, "list", "--key", key) == []
