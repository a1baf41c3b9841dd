"""The screenshots of docs/operations/flower.md: `python -m tests.browser.flower_shots docs/images`."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.container import Container
from app.domain.jobs import BACKGROUND_QUEUES
from app.settings import Settings
from tests.acceptance.flower import AUTH, Flower
from tests.browser.stage import TIMEOUT
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.upstream.client import MockUpstream

_FOLDER = "SIMMER_SHOTS"
WIDTH, HEIGHT = 1200, 640
SCOPES = ["responses:read", "responses:write"]


@pytest.fixture
def cluster(tmp_path: Path, postgres: str, valkey: str, upstream_server: MockUpstream) -> Iterator[Cluster]:
    """Two job workers, and one for the rest."""
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), write_models(tmp_path, upstream_server))
        slow = {"SIMMER_SWEEP_INTERVAL": "30", "SIMMER_PURGE_INTERVAL": "60"}
        with Cluster(tmp_path, {**env, **slow}) as made:
            for name in ("jobs-1", "jobs-2"):
                made.worker(name, queue=",".join(BACKGROUND_QUEUES), concurrency=1000)
            made.worker("sync", queue="sync", concurrency=200)
            made.system()
            yield made


@pytest.fixture
def page(cluster: Cluster, browser: Browser) -> Iterator[Page]:
    """Flower, signed in, after an hour's work in a minute."""
    flower = Flower.start(cluster)
    user, _, password = AUTH.partition(":")
    with browser.new_context(
        base_url=flower.url,
        http_credentials={"username": user, "password": password},
        # Its tabs fade in otherwise.
        reduced_motion="reduce",
    ) as context:
        context.set_default_timeout(TIMEOUT)
        yield context.new_page()


def shoot(page: Page, name: str, height: int = HEIGHT, zoom: float = 1) -> None:
    page.set_viewport_size({"width": WIDTH, "height": height})
    # Flower's tables of a worker are wider than the picture may be.
    page.evaluate("zoom => { document.body.style.zoom = zoom; scrollTo(0, 0); }", zoom)
    page.mouse.move(0, 0)
    page.screenshot(path=Path(os.environ[_FOLDER]) / f"flower-{name}.png", animations="disabled")


def work(cluster: Cluster, upstream: MockUpstream) -> list[str]:
    """Jobs of every kind; the ids of those that go on for ever, the oldest first."""
    container = Container(Settings(database_url=cluster.env["SIMMER_DATABASE_URL"]))
    client = Client(cluster.api(), container.keys.create("shots", SCOPES)[1])
    container.database.close()
    stuck = [client.submit("stuck [[hang]]")]
    upstream.wait_for_call("stuck", 30)
    for job in [client.submit(f"done {number} [[sleep 0.{number}]]") for number in range(9)]:
        client.wait(job, "completed")
    client.cancel(client.submit("cancelled [[hang]]"))
    return stuck + [client.submit(f"runs {number} [[hang]]") for number in range(3)]


def test_shots(cluster: Cluster, page: Page, upstream_server: MockUpstream) -> None:
    stuck, *_ = work(cluster, upstream_server)
    page.goto("/workers")
    expect(page.locator("#workers-online")).to_have_text("4")
    expect(page.locator("#workers-active")).to_have_text("4")
    shoot(page, "workers", 680)

    page.goto("/tasks")
    page.get_by_role("button", name="Started").click()
    expect(page.locator("#tasks-table tbody tr")).to_have_count(4)
    page.get_by_role("columnheader", name="Received").first.click()
    expect(page.locator("#tasks-table tbody tr").first).to_contain_text(stuck)
    shoot(page, "tasks", 600)

    page.goto(f"/task/{stuck}")
    expect(page.get_by_role("button", name="Terminate")).to_be_visible()
    worker = page.locator("a[href*='/worker/']").last.inner_text()
    shoot(page, "task", 900)

    page.goto(f"/worker/{worker}")
    page.get_by_role("tab", name="Tasks").click()
    expect(page.locator("#tab-tasks")).to_contain_text(stuck)
    expect(page.locator("#tab-tasks")).to_have_class(re.compile("show"))
    shoot(page, "worker", 640, 0.8)
    page.get_by_role("tab", name="Queues").click()
    expect(page.get_by_role("button", name="Cancel Consumer").first).to_be_visible()
    expect(page.locator("#tab-queues")).to_have_class(re.compile("show"))
    shoot(page, "queues", 500, 0.8)
    page.get_by_role("tab", name="Pool").click()
    expect(page.locator("#tab-pool")).to_have_class(re.compile("show"))
    page.locator("#worker-group").click()
    expect(page.locator("#worker-shutdown")).to_be_visible()
    shoot(page, "shutdown", 540)


if __name__ == "__main__":
    os.environ[_FOLDER] = sys.argv[1]
    sys.exit(pytest.main([__file__, "-q", "-x", "-p", "no:cacheprovider"]))
