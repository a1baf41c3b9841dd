"""Connections that break: a prompt makes one job all the same, and its text stands there once and whole."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.stage import Stage, Visit, words
from tests.faults.proxy import Proxy

FILL = """() => {
    let ballast = '';
    for (let size = 2 ** 23; size >= 1; size /= 2) {
        try {
            sessionStorage.setItem('ballast', ballast + 'x'.repeat(size));
            ballast += 'x'.repeat(size);
        } catch {}
    }
}"""
"""Leave no room in the tab's storage."""


@pytest.fixture
def proxy(stage: Stage) -> Iterator[Proxy]:
    port = urlsplit(stage.url).port
    assert port
    with Proxy("127.0.0.1", port) as made:
        yield made


@pytest.fixture
def visit(stage: Stage, proxy: Proxy) -> Iterator[Visit]:
    """A tab that is signed in, through the proxy."""
    with stage.visit(url=f"http://127.0.0.1:{proxy.port}") as made:
        made.sign_in()
        expect(made.page.get_by_text("No responses yet")).to_be_visible()
        yield made
        proxy.pass_through()


def test_a_reply_that_is_lost_makes_one_job(visit: Visit, proxy: Proxy) -> None:
    proxy.swallow_next_reply(b"POST /v1/responses")
    visit.submit("[[tokens 3 rate=100]] Only once")
    expect(visit.status).to_have_text("Completed")
    # Chromium itself sends a request again whose connection was reset; the page would where it does not.
    assert proxy.counters.swallowed == 1
    assert visit.said() == words(3)
    assert len(list(visit.client.all())) == 1


def test_what_the_page_sends_again_makes_one_job(visit: Visit) -> None:
    def arrive_and_fail(route: Route) -> None:
        sent = route.request
        visit.context.request.post(sent.url, headers=sent.headers, data=sent.post_data_json)
        route.abort("connectionreset")

    visit.page.route("**/v1/responses", arrive_and_fail, times=1)
    visit.submit("[[tokens 3 rate=100]] Only once")
    expect(visit.page.locator("#outbox")).to_contain_text("Not sent yet")
    expect(visit.status).to_have_text("Completed")
    assert visit.said() == words(3)
    keys = [request.headers["idempotency-key"] for request in visit.asked("POST", "/v1/responses")]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(list(visit.client.all())) == 1


def test_a_prompt_waits_for_the_connection_over_a_reload(visit: Visit, proxy: Proxy) -> None:
    visit.context.set_offline(True)
    for text in ("Written in a tunnel", "Another one"):
        visit.submit(text)
    expect(visit.page.locator("#outbox li")).to_have_count(2)
    expect(visit.page.locator("#outbox")).to_contain_text("Not sent yet; tries again by itself")
    expect(visit.page.locator("#banner")).to_contain_text("You are offline. Jobs go on")
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.page.get_by_role("dialog")).to_contain_text("2 prompts will not be sent.")
    visit.page.get_by_role("button", name="Stay").click()
    visit.page.get_by_role("button", name="Discard").first.click()
    visit.context.set_offline(False)
    visit.page.reload()
    expect(visit.row("Written in a tunnel")).to_contain_text("Completed")
    assert len(list(visit.client.all())) == 1


def test_a_prompt_is_sent_although_the_browser_has_no_room_to_keep_it(visit: Visit) -> None:
    visit.page.evaluate(FILL)
    visit.submit("Longer than what is left")
    expect(visit.status).to_have_text("Completed")
    visit.page.reload()
    expect(visit.row("Longer than what is left")).to_have_count(1)


def test_a_double_click_makes_one_job(visit: Visit) -> None:
    visit.page.get_by_role("textbox", name="Prompt").fill("Twice clicked")
    visit.page.get_by_role("button", name="Submit", exact=True).dblclick()
    expect(visit.status).to_have_text("Completed")
    expect(visit.page.locator("#composer-error")).to_be_empty()
    assert len(visit.asked("POST", "/v1/responses")) == 1


def test_a_reload_in_mid_stream_shows_the_whole_text_once(visit: Visit) -> None:
    visit.submit("[[tokens 90 rate=30]] Reload me")
    for seen in ("w10 ", "w40 "):
        expect(visit.answer).to_contain_text(seen)
        visit.page.reload()
        expect(visit.row("Reload me")).to_have_attribute("aria-current", "true")
    expect(visit.status).to_have_text("Completed")
    assert visit.said() == words(90)


def test_a_stream_that_breaks_goes_on_where_it_was(visit: Visit, proxy: Proxy) -> None:
    visit.submit("[[tokens 150 rate=30]] Cut me off")
    for seen in ("w10 ", "w40 "):
        expect(visit.answer).to_contain_text(seen)
        proxy.reset()
        expect(visit.page.locator("#banner")).to_contain_text("Simmer does not answer.")
        expect(visit.page.locator("#line")).to_contain_text("The connection was lost.")
        proxy.pass_through()
        visit.page.get_by_role("button", name="Try now").click()
        expect(visit.page.locator("#banner")).to_be_hidden()
    expect(visit.status).to_have_text("Completed")
    expect(visit.page.locator("#line")).to_be_hidden()
    assert visit.said() == words(150)
    first, second = (request.url for request in visit.requests if "stream=true" in request.url)
    after = [int(re.findall(r"starting_after=(\d+)", url)[0]) for url in (first, second)]
    assert 10 < after[0] < after[1]


def test_a_connection_that_falls_silent_is_given_up(visit: Visit, proxy: Proxy) -> None:
    visit.page.clock.install()
    visit.submit("[[tokens 60 rate=30]] Fall silent")
    expect(visit.answer).to_contain_text("w5 ")
    proxy.half_open()
    visit.page.clock.run_for(46_000)
    expect(visit.page.locator("#line")).to_contain_text("The connection was lost.")
    proxy.reset()
    proxy.pass_through()
    expect(visit.status).to_have_text("Completed")
    assert visit.said() == words(60)


def test_who_reads_another_job_gives_its_connection_back(visit: Visit) -> None:
    """A browser has six to one host: ten jobs that run must leave the page usable."""
    for number in range(10):
        visit.submit(f"[[gate many]] Job {number}")
        expect(visit.row(f"Job {number}")).to_have_attribute("aria-current", "true")
    visit.row("Job 3").click()
    visit.page.get_by_role("button", name="Cancel").click()
    expect(visit.status).to_have_text("Cancelled")
