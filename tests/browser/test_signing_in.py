"""The key: wrong, good, revoked, or one that may not do everything; and that it stays where it belongs."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.stage import Stage, Visit

STORED = "JSON.stringify({session: {...sessionStorage}, local: {...localStorage}, cookies: document.cookie})"


def test_a_wrong_key_says_so_and_what_to_do(stage: Stage) -> None:
    with stage.visit() as visit:
        visit.page.goto(stage.url)
        field = visit.page.get_by_label("API key")
        expect(field).to_be_focused()
        expect(field).to_have_attribute("type", "password")
        for wrong, said in (("", "Enter your API key."), ("sk-simmer-nonsense", "not valid. Check that all of it")):
            field.fill(wrong)
            field.press("Enter")
            expect(visit.page.get_by_role("alert").first).to_contain_text(said)
            expect(field).to_be_focused()
            expect(field).to_have_attribute("aria-invalid", "true")
        assert visit.page.evaluate("sessionStorage.length") == 0


def test_the_key_stays_in_the_session(visit: Visit) -> None:
    stored = json.loads(visit.page.evaluate(STORED))
    assert stored["session"]["simmer.key"] == visit.client.key
    assert visit.client.key not in json.dumps([stored["local"], stored["cookies"]])
    assert visit.client.key not in visit.page.content()
    visit.page.reload()
    expect(visit.page.get_by_role("textbox", name="Prompt")).to_be_visible()
    other = visit.context.new_page()
    other.goto(visit.client.url)
    expect(other.get_by_label("API key")).to_be_visible()


def test_signing_out_leaves_nothing(visit: Visit) -> None:
    visit.submit("Nobody else may see this")
    expect(visit.status).to_have_text("Completed")
    visit.page.get_by_role("textbox", name="Prompt").fill("A draft")
    visit.page.get_by_role("button", name="Sign out").click()
    expect(visit.page.get_by_label("API key")).to_have_value("")
    assert visit.page.evaluate("sessionStorage.length") == 0
    assert "may see" not in visit.page.content()
    assert visit.page.url == visit.client.url + "/"
    before = len(visit.requests)
    visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    visit.page.reload()
    expect(visit.page.get_by_label("API key")).to_be_visible()
    assert not [request for request in visit.requests[before:] if "/v1/" in request.url]


def test_a_key_that_is_revoked_signs_out_and_keeps_the_draft(visit: Visit, stage: Stage) -> None:
    visit.page.get_by_role("textbox", name="Prompt").fill("Half a prom")
    expect(visit.page.get_by_text("No responses yet")).to_be_visible()
    page = visit.page
    page.route(
        "**/v1/responses?*", lambda route: route.fulfill(status=401, json={"error": {"code": "invalid_api_key"}})
    )
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert").first).to_contain_text("not valid any more. Ask the")
    page.unroute("**/v1/responses?*")
    page.get_by_label("API key").fill(visit.client.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("Half a prom")


@pytest.mark.parametrize("scope", ["responses:read", "responses:write"])
def test_a_key_that_may_do_half(stage: Stage, scope: str) -> None:
    with stage.visit(scopes=(scope,)) as visit:
        if scope == "responses:write":
            visit.page.goto(stage.url)
            visit.page.get_by_label("API key").fill(visit.client.key)
            visit.page.keyboard.press("Enter")
            expect(visit.page.get_by_role("alert").first).to_contain_text("lacks the scope `responses:read`")
            return
        visit.sign_in()
        visit.submit("Try me")
        expect(visit.page.locator("#outbox")).to_contain_text("lacks the scope `responses:write`")
        visit.page.get_by_role("button", name="Edit").click()
        expect(visit.page.get_by_role("textbox", name="Prompt")).to_have_value("Try me")
        expect(visit.page.locator("#composer-error")).to_contain_text("Sign in with a key that may do this.")
