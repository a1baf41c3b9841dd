"""What the commands import, each in a process of its own: only those that need the broker wait for Celery."""

import pytest

from app.container import Container
from app.settings import Settings
from tests.loading import loaded_by

DATABASE = {"gevent", "psycopg", "pydantic", "sqlalchemy"}
BROKER = {"celery", "kombu", "opentelemetry", "redis"}


@pytest.fixture
def key(settings: Settings) -> str:
    return str(Container(settings).keys.create("loading", ["webhooks"])[0].id)


def test_keys_need_the_database_alone(environment: dict[str, str], key: str) -> None:
    assert loaded_by("keys", "list", env=environment) == DATABASE
    assert loaded_by("keys", "revoke", key, "--json", env=environment) == DATABASE


@pytest.mark.parametrize("command", [["jobs", "list"], ["encryption", "status"], ["purge", "--dry-run"]])
def test_who_only_looks_into_the_database_waits_for_no_broker(environment: dict[str, str], command: list[str]) -> None:
    assert loaded_by(*command, env=environment) <= DATABASE | {"rich"}


def test_a_list_of_webhook_endpoints_needs_no_resolver(environment: dict[str, str], key: str) -> None:
    assert loaded_by("webhooks", "list", "--key", key, env=environment) == DATABASE | {"rich"}


def test_the_doctor_asks_the_broker_and_needs_nothing_of_the_api(environment: dict[str, str]) -> None:
    used = loaded_by("doctor", env=environment)
    assert used >= DATABASE | BROKER
    assert used.isdisjoint({"alembic", "dns", "flask", "flower", "limits", "openai"})
