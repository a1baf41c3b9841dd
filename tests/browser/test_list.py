"""The list: filters, search, pages, and how often it asks."""

import re

from playwright.sync_api import Route, expect

from tests.browser.stage import Stage, Visit


def test_filters_and_search(visit: Visit) -> None:
    client, page = visit.client, visit.page
    for text in ("An apple", "A pear", "[[error code=invalid_prompt status=400]] A plum"):
        client.wait(client.submit(text))
    client.wait(client.submit("A mini fig", model="gpt-4.1-mini"))
    page.get_by_role("button", name="Refresh").click()
    rows = page.locator("#rows a")
    expect(rows).to_have_text([re.compile(text) for text in ("fig", "plum", "pear", "apple")])
    page.get_by_role("combobox", name="Status").select_option("Failed")
    expect(rows).to_have_text([re.compile("plum")])
    page.get_by_role("combobox", name="Status").select_option("Cancelled")
    expect(page.get_by_text("No response is like that.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(4)
    page.locator("#filter-model").select_option("gpt-4.1-mini")
    expect(rows).to_have_text([re.compile("fig")])
    page.locator("#filter-model").select_option("Any model")
    search = page.get_by_role("searchbox")
    for wanted, found in (("PEAR", ["pear"]), ("echo: An", ["apple"]), ("completed", ["fig", "pear", "apple"])):
        search.fill(wanted)
        expect(rows).to_have_text([re.compile(text) for text in found])
    search.fill("nowhere")
    expect(page.get_by_text("Nothing that is loaded matches the search.")).to_be_visible()
    search.fill("")
    expect(rows).to_have_count(4)


def test_what_does_not_fit_the_filter_is_not_shown_when_it_is_new(visit: Visit) -> None:
    visit.page.get_by_role("combobox", name="Status").select_option("Failed")
    visit.submit("A new one")
    expect(visit.status).to_have_text("Completed")
    expect(visit.row("A new one")).to_have_count(0)


def test_pages(visit: Visit) -> None:
    ids = [visit.client.submit(f"Number {number}") for number in range(45)]
    visit.client.wait(ids[-1])
    visit.page.get_by_role("button", name="Refresh").click()
    rows, more = visit.page.locator("#rows a"), visit.page.get_by_role("button", name="Load more")
    for count in (20, 40):
        expect(rows).to_have_count(count)
        more.click()
    expect(rows).to_have_count(45)
    expect(more).to_be_hidden()
    shown = rows.evaluate_all("links => links.map((link) => link.dataset.id)")
    assert shown == [job["id"] for job in visit.client.all()]
    rows.last.scroll_into_view_if_needed()
    expect(rows.last).to_contain_text("Number 0")
    visit.client.request("DELETE", f"/v1/responses/{ids[-1]}")
    visit.page.get_by_role("button", name="Refresh").click()
    expect(rows).to_have_count(44)


def test_it_asks_only_while_something_is_active(visit: Visit, stage: Stage) -> None:
    def lists() -> int:
        return len([request for request in visit.requests if "/v1/responses?" in request.url])

    visit.page.clock.install()
    job_id = visit.client.submit("[[gate asking]] Wait for me")
    visit.page.get_by_role("button", name="Refresh").click()
    expect(visit.row("Wait for me")).to_contain_text("Running")
    seen = lists()
    visit.page.clock.run_for(3500)
    visit.until(lambda: lists() > seen, "another request while it runs")
    stage.upstream.open_gate("asking")
    visit.client.wait(job_id)
    visit.page.clock.run_for(3500)
    # Brought by a round of its own. After a click on Refresh that round and the click's would be two.
    expect(visit.row("Wait for me")).to_contain_text("Completed")
    seen = lists()
    visit.page.clock.run_for(60_000)
    expect(visit.page.get_by_role("button", name="Refresh")).to_be_enabled()
    assert lists() == seen


def test_it_keeps_to_retry_after(visit: Visit) -> None:
    error = {"message": "Too many requests of this kind.", "code": "rate_limit_exceeded"}
    refused: list[Route] = []

    def refuse(route: Route) -> None:
        refused.append(route)
        route.fulfill(status=429, headers={"Retry-After": "20"}, json={"error": error})

    visit.page.clock.install()
    visit.page.route("**/v1/responses?*", refuse)
    visit.page.get_by_role("button", name="Refresh").click()
    expect(visit.page.locator("#nothing")).to_contain_text("Too many requests of this kind.")
    visit.page.clock.run_for(19_000)
    assert len(refused) == 1
    visit.page.clock.run_for(2_000)
    visit.until(lambda: len(refused) == 2, "the second try")
    visit.page.unroute("**/v1/responses?*")
    visit.page.clock.run_for(21_000)
    expect(visit.page.get_by_text("No responses yet")).to_be_visible()


def test_a_server_that_does_not_answer(visit: Visit) -> None:
    visit.page.route("**/v1/**", lambda route: route.abort("connectionrefused"))
    visit.page.get_by_role("button", name="Refresh").click()
    expect(visit.page.locator("#banner")).to_contain_text("Simmer does not answer.")
    visit.page.unroute("**/v1/**")
    visit.page.get_by_role("button", name="Try now").click()
    expect(visit.page.locator("#banner")).to_be_hidden()


def test_a_text_that_the_list_holds_is_shown_before_the_server_answers(visit: Visit) -> None:
    visit.client.wait(visit.client.submit("Known already"))
    visit.page.get_by_role("button", name="Refresh").click()
    expect(visit.row("Known already")).to_contain_text("Completed")
    visit.page.route("**/v1/responses/resp_*", lambda route: None)
    visit.row("Known already").click()
    expect(visit.answer).to_have_text("echo: Known already")
