"""For everybody: with keys alone, with a screen reader, in the dark, on a phone, without motion."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stage import PHONE, Stage, Visit

AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules whose outcome another colour scheme can change: all else of the page is the same in both."""
SCAN = """async (rules) => {
    const found = await axe.run({runOnly: rules, resultTypes: ['violations']});
    return found.violations.flatMap(({id, nodes}) => nodes.map((node) => [id, node.html, node.failureSummary]));
}"""
HEAR = """() => {
    window.heard = [];
    const hear = (region) => () => window.heard.push(region.textContent.trim());
    for (const region of document.querySelectorAll('[role=status], [role=alert], [aria-live]')) {
        new MutationObserver(hear(region)).observe(region, {childList: true, characterData: true, subtree: true});
    }
}"""
LONG = "Averylongwordwithoutanyspaceinit" * 8


def violations(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is now, in the light and in the dark."""
    assert AXE.exists(), "axe-core is missing: `make test` installs it."
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    return [*_found(page, "light", RULES), *_found(page, "dark", OF_COLOURS)]


def _found(page: Page, scheme: Literal["light", "dark"], rules: list[str]) -> list[str]:
    page.emulate_media(color_scheme=scheme)
    # What pulses is half transparent at times.
    page.evaluate("document.getAnimations().forEach((animation) => animation.cancel())")
    found: Any = page.evaluate(SCAN, rules)
    return [f"{scheme}: {rule}: {html[:150]} {summary}" for rule, html, summary in found]


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_every_state_is_accessible(stage: Stage, size: str) -> None:
    """And on a phone nothing is wider than the phone."""
    options: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if size == "phone" else {}
    seen: dict[str, list[str]] = {}

    def look(name: str) -> None:
        seen[name] = violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name

    def back() -> None:
        if size == "phone":
            page.get_by_role("button", name="All responses").click()

    with stage.visit(**options) as visit:
        page = visit.page
        page.goto(stage.url)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert").first).to_contain_text("Enter your API key.")
        look("sign-in")
        visit.sign_in()
        expect(page.get_by_text("No responses yet")).to_be_visible()
        look("empty")
        visit.client.wait(visit.client.submit(f"[[error code=upstream_error status=400]] {LONG}", model=LONG[:200]))
        visit.submit(f"[[text {LONG}]] Text")
        if size == "phone":
            visit.row("Text").click()
        expect(visit.status).to_have_text("Completed")
        look("completed")
        page.get_by_role("button", name="Delete").click()
        look("dialog")
        page.keyboard.press("Escape")
        back()
        visit.submit(f"[[gate {size}]] Still running")
        page.get_by_role("button", name="Refresh").click()
        visit.row(LONG[:20]).last.click()
        expect(page.get_by_role("group", name="Failed: upstream_error")).to_be_visible()
        look("failed")
        back()
        visit.row("Still running").click()
        expect(visit.status).to_have_text("Running")
        look("running")
        back()
        visit.context.set_offline(True)
        visit.submit("Not sent")
        expect(page.locator("#outbox")).to_contain_text("Not sent yet")
        look("offline")
        visit.context.set_offline(False)
        stage.upstream.open_gate(size)
        expect(visit.row("Still running")).to_contain_text("Completed")
    assert list(seen) == ["sign-in", "empty", "completed", "dialog", "failed", "running", "offline"]
    assert not any(seen.values()), seen


def test_a_violation_is_noticed(visit: Visit) -> None:
    visit.page.evaluate("document.querySelector('#filter-status').removeAttribute('aria-label')")
    assert any(found.startswith("light: select-name: ") for found in violations(visit.page))


def test_what_cannot_be_read_in_the_dark_is_noticed(visit: Visit) -> None:
    visit.page.evaluate("document.body.style.color = 'light-dark(#1d1c1a, #333)'")
    found = violations(visit.page)
    assert any(line.startswith("dark: color-contrast: ") for line in found)
    assert not any(line.startswith("light: ") for line in found)


def test_all_of_it_with_keys_alone(stage: Stage) -> None:
    with stage.visit() as visit:
        page, press = visit.page, visit.page.keyboard.press
        page.goto(stage.url)
        page.keyboard.type(visit.client.key)
        press("Enter")
        expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
        for text in ("First with n and /", "Second"):
            page.keyboard.type(text)
            press("Control+Enter")
            expect(visit.row(text)).to_contain_text("Completed")
        press("Escape")
        press("Escape")
        expect(visit.row("Second")).to_be_focused()
        press("ArrowDown")
        expect(visit.row("First")).to_be_focused()
        press("Enter")
        expect(page.locator("#job-title")).to_be_focused()
        expect(visit.answer).to_have_text("echo: First with n and /")
        press("Tab")
        expect(page.get_by_role("button", name="Copy text")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.type("second")
        expect(page.locator("#rows a")).to_have_count(1)
        press("Escape")
        press("n")
        expect(page.get_by_role("textbox", name="Prompt")).to_be_focused()
        expect(page.get_by_role("textbox", name="Prompt")).to_have_value("")
        press("Escape")
        press("Escape")
        expect(visit.page.locator("#job")).to_be_hidden()


def test_a_screen_reader_hears_of_the_end_and_not_of_every_word(visit: Visit) -> None:
    visit.page.evaluate(HEAR)
    visit.submit("[[tokens 40 rate=40]] Hear me")
    expect(visit.status).to_have_text("Completed")
    expect(visit.page.locator("#told")).to_have_text("Completed: [[tokens 40 rate=40]] Hear me")
    expect(visit.answer).to_have_attribute("aria-busy", "false")
    heard = [text for text in visit.page.evaluate("window.heard") if text]
    assert heard == ["Completed: [[tokens 40 rate=40]] Hear me"]


def test_without_motion_nothing_moves(stage: Stage) -> None:
    moving = "document.getAnimations().length"
    for wish, moves in (("reduce", False), ("no-preference", True)):
        with stage.visit(reduced_motion=wish) as visit:
            visit.sign_in()
            visit.submit(f"[[tokens 900 rate=30]] Move {wish}")
            expect(visit.answer).to_contain_text("w2 ")
            assert bool(visit.page.evaluate(moving)) is moves
            visit.page.get_by_role("button", name="Cancel").click()
            expect(visit.status).to_have_text("Cancelled")


def test_the_theme_can_be_chosen_and_stays(visit: Visit) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = visit.page.evaluate(background)
    for name in ("Auto. Switch to Light", "Light. Switch to Dark"):
        visit.page.get_by_role("button", name=f"Theme: {name}.").click()
    dark = visit.page.evaluate(background)
    assert dark != light
    visit.page.reload()
    assert visit.page.evaluate(background) == dark
    visit.page.get_by_role("button", name=re.compile("Switch to Auto")).click()
    assert visit.page.evaluate(background) == light


def test_without_scripts_it_says_what_it_needs(stage: Stage) -> None:
    with stage.visit(java_script_enabled=False) as visit:
        visit.page.goto(stage.url)
        # Playwright finds no texts in a <noscript>.
        expect(visit.page.locator("noscript .card")).to_be_visible()
        expect(visit.page.locator("noscript .card")).to_contain_text("This page needs JavaScript")


def test_a_phone_shows_one_thing_at_a_time(stage: Stage) -> None:
    with stage.visit(viewport=PHONE, has_touch=True, is_mobile=True) as visit:
        visit.sign_in()
        page, prompt = visit.page, visit.page.get_by_role("textbox", name="Prompt")
        visit.submit("From a phone")
        expect(visit.row("From a phone")).to_contain_text("Completed")
        expect(visit.answer).to_be_hidden()
        visit.row("From a phone").tap()
        expect(visit.answer).to_have_text("echo: From a phone")
        expect(prompt).to_be_hidden()
        page.go_back()
        expect(prompt).to_be_visible()
        expect(visit.row("From a phone")).to_be_focused()
