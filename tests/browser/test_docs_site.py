"""The docs from a disk, in a browser: they load nothing from elsewhere, complain of nothing, and can be searched."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.stage import TIMEOUT
from tests.docs_site import build

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(folder)
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Without a network. Leaving it fails if it asked for something, or complained."""
    wrong: list[str] = []
    with browser.new_context(offline=True) as context:
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        page.on("request", lambda request: _note(request.url, wrong))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
    assert wrong == []


def _note(url: str, wrong: list[str]) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        wrong.append(url)


def test_a_word_is_found_and_leads_to_its_section(site: Path, page: Page) -> None:
    page.goto(f"file://{site}/index.html")
    page.get_by_role("textbox", name="Search").click()
    page.get_by_role("textbox", name="Search").press_sequentially("stuck job")
    found = page.locator(".md-search-result__item a").first
    expect(found).to_be_visible()
    found.click()
    expect(page).to_have_url(re.compile("/operations/"))


@pytest.mark.parametrize("name", ["index", "tutorial", "reference", "operations/flower", "adr/index"])
def test_a_page_asks_nobody(site: Path, page: Page, name: str) -> None:
    page.goto(f"file://{site}/{name}.html", wait_until="load")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
