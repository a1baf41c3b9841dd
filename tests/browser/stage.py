"""A running Simmer, and people in front of its page: each with a browser of their own and a key of their own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, BrowserType, ConsoleMessage, Locator, Page, Request, expect

from app.services.keys import KeyService
from tests.browser.chromium import CHROMIUM
from tests.cluster import Client
from tests.processes import Process
from tests.upstream.client import MockUpstream

SCOPES = ("responses:read", "responses:write")
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TIMEOUT = 15_000
"""Milliseconds that the page may take for anything."""


@dataclass
class Visit:
    """One tab. Leaving it fails if the page did what it never may."""

    page: Page
    context: BrowserContext
    client: Client
    wrong: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def sign_in(self, path: str = "/") -> None:
        """With the visit's key."""
        self.page.goto(self.client.url + path)
        self.page.get_by_label("API key").fill(self.client.key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("textbox", name="Prompt")).to_be_visible()

    def submit(self, prompt: str) -> None:
        """Write a prompt, and submit it."""
        self.page.get_by_role("textbox", name="Prompt").fill(prompt)
        self.page.get_by_role("button", name="Submit", exact=True).click()

    def row(self, text: str) -> Locator:
        """The row of a job, by words in it."""
        return self.page.locator("#rows a", has_text=text)

    @property
    def answer(self) -> Locator:
        """The text of the response that is open."""
        return self.page.locator("#answer")

    @property
    def status(self) -> Locator:
        """The status of the response that is open."""
        return self.page.locator("#job-status")

    def said(self) -> str:
        """All that stands in the answer, as it stands there."""
        text: str = self.answer.evaluate("node => node.textContent")
        return text

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests so far, by method and the beginning of the path."""
        found = [request for request in self.requests if request.method == method]
        return [request for request in found if urlsplit(request.url).path.startswith(path)]

    def until(self, predicate: Callable[[], object], message: str) -> None:
        """Wait for what `requests` will show: Playwright tells of them only while it is asked something."""
        deadline = time.monotonic() + TIMEOUT / 1000
        while not predicate():
            assert time.monotonic() < deadline, message
            self.page.wait_for_timeout(20)

    def watch(self) -> None:
        """Note what goes wrong, from now on."""
        self.page.on("request", self._requested)
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"a dialog of the browser's: {dialog.message}"))

    def _requested(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.client.url + "/", "data:image/svg+xml,")):
            self.wrong.append(f"a request to somebody else: {request.url}")
        if self.client.key in request.url or self.client.key[-8:] in request.url:
            self.wrong.append(f"the key in an address: {request.method} {request.url}")

    def _logged(self, message: ConsoleMessage) -> None:
        # Chromium writes one of these for every error status and every lost connection, which tests provoke.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"{message.type}: {message.text}")


@dataclass(frozen=True)
class Stage:
    """Simmer and a browser, for all tests of a process; every visit is somebody else's, so that it begins empty."""

    url: str
    keys: KeyService
    upstream: MockUpstream
    worker: Process
    browser: Browser

    @contextmanager
    def visit(self, *, scopes: tuple[str, ...] = SCOPES, url: str = "", **options: Any) -> Iterator[Visit]:
        """A tab; `url` is a way around to the API, and `options` are those of Playwright's `new_context`."""
        key = self.keys.create("visitor", scopes)[1]
        with self.browser.new_context(**{"viewport": WIDE, **options}) as context:
            context.set_default_timeout(TIMEOUT)
            made = Visit(context.new_page(), context, Client(url or self.url, key))
            made.watch()
            try:
                yield made
            except BaseException as error:
                error.add_note("\n".join(["The page said:", *made.wrong]))
                raise
            assert not made.wrong, "\n".join(made.wrong)


def launch(chromium: BrowserType, *arguments: str) -> Browser:
    """The machine's Chromium, without a window."""
    assert CHROMIUM
    # Chromium's own sandbox needs rights that root in a container has not; all pages here are ours.
    needed = ["--no-sandbox", "--disable-dev-shm-usage"]
    return chromium.launch(executable_path=CHROMIUM, args=[*needed, *arguments])


def words(count: int) -> str:
    """What a model says to `[[tokens COUNT]]`."""
    return " ".join(f"w{number}" for number in range(1, count + 1))
