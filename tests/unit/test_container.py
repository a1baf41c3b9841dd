"""Parts import their libraries when something is done with them, and are made once."""

import threading
from pathlib import Path

import pytest

from app.container import Container
from app.domain.errors import ConfigurationError
from app.domain.webhook_urls import WebhookUrlError
from app.settings import Settings
from tests.loading import loaded

MODELS = '[upstreams.u]\nbase_url = "http://127.0.0.1:9/v1"\n[models."*"]\nupstream = "u"\n'
URLS = {"SIMMER_DATABASE_URL": "postgresql://h/d", "SIMMER_BROKER_URL": "redis://127.0.0.1:9/0"}
BROKER = {"celery", "kombu", "redis"}
RESOLVER = {"dns", "httpcore2"}
PARTS = "from app.container import Container; from app.settings import load_settings; c = Container(load_settings())"
WORKER = "from app.container import Container; from workers import celery_app as w; c = Container(w.settings, w.app)"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return {**URLS, "SIMMER_MODELS": str(models)}


def test_services_are_made_without_the_libraries_of_the_parts_they_may_use(env: dict[str, str]) -> None:
    used = loaded(f"{PARTS}; c.jobs, c.administration, c.maintenance, c.webhooks, c.deliveries, c.streams", env)
    assert used.isdisjoint(BROKER | RESOLVER)


def test_an_api_has_imported_what_every_request_needs_and_no_resolver(env: dict[str, str]) -> None:
    used = loaded("from app.factory import create_app; create_app()", env)
    assert BROKER | {"limits"} <= used
    assert used.isdisjoint(RESOLVER)


def test_a_worker_has_no_resolver_until_it_needs_one(env: dict[str, str]) -> None:
    assert "dns" not in loaded(f"{WORKER}; c.execution, c.maintenance, c.webhook_maintenance", env)
    assert "dns" in loaded(f"{WORKER}; c.webhook_sender.check('https://93.184.215.14/')", env)


def test_a_part_is_found_out_to_be_impossible_before_something_is_done_with_it() -> None:
    parts = Container(Settings(database_url=URLS["SIMMER_DATABASE_URL"], broker_url=""))
    for name in ("dispatcher", "doorbell", "event_log", "administration", "maintenance"):
        with pytest.raises(ConfigurationError, match="Set SIMMER_BROKER_URL"):
            getattr(parts, name)


def test_a_part_is_made_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[threading.Thread] = []
    first, second = threading.Barrier(2, timeout=30), threading.Event()

    class Slow:
        """Takes until another thread has asked too, or had the time to."""

        def __init__(self, *_: object, **__: object) -> None:
            made.append(threading.current_thread())
            second.wait(0.2)

        def check(self, url: str) -> None:
            raise WebhookUrlError(url)

    monkeypatch.setattr("app.adapters.webhook_sender.HttpWebhookSender", Slow)
    sender = Container(Settings(database_url=URLS["SIMMER_DATABASE_URL"])).webhook_sender

    def ask() -> None:
        first.wait()
        with pytest.raises(WebhookUrlError):
            sender.check("x")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1
