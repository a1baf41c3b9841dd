"""One Simmer and one Chromium for all tests of the page; without Chromium they are skipped, and the summary says so."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from app.container import Container
from app.services.keys import KeyService
from app.settings import Settings
from tests.browser.chromium import CHROMIUM, MISSING, pytest_configure
from tests.browser.stage import TIMEOUT, Stage, Visit, launch
from tests.cluster import Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.processes import Process
from tests.upstream.client import MockUpstream

__all__ = ["pytest_configure"]

NAMED = '[models."gpt-4.1"]\nupstream = "mock"\n[models."gpt-4.1-mini"]\nupstream = "mock"\n'

Served = tuple[str, KeyService, MockUpstream, Process]
"""The API's address, its keys, its model server, and its worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if CHROMIUM is None:
        for item in items:
            if {"stage", "browser"}.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium. Not for the session: while it is there an event loop runs, and other tests of the process
    may want to run one of their own.
    """
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright, launch(playwright.chromium) as made:
        yield made


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Served]:
    """A whole Simmer."""
    folder = tmp_path_factory.mktemp("page")
    models = write_models(folder, upstream_server)
    models.write_text(models.read_text() + NAMED)
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), models)
        with Cluster(folder, env) as cluster:
            worker = cluster.worker()
            container = Container(Settings(database_url=database_url))
            yield cluster.api(), container.keys, upstream_server, worker
            container.database.close()


@pytest.fixture(scope="module")
def stage(served: Served, browser: Browser) -> Stage:
    """The Simmer, and the browser."""
    return Stage(*served, browser)


@pytest.fixture
def visit(stage: Stage) -> Iterator[Visit]:
    """A tab that is signed in, and has no jobs yet."""
    with stage.visit() as made:
        made.sign_in()
        yield made
