"""Jobs on the page: submitted, streamed, cancelled, deleted, failed, waiting in line."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.stage import Stage, Visit, words

MARKUP = "<img src=x onerror=document.title='owned'><b>bold</b> & </div><script>1</script>"

EVERYTHING: dict[str, Any] = {
    "input": "Everything",
    "instructions": "In Bernese.",
    "max_output_tokens": 500,
    "max_tool_calls": 3,
    "metadata": {"team": "tests"},
    "parallel_tool_calls": False,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "prompt_cache_key": "cache",
    "reasoning": {"effort": "low"},
    "safety_identifier": "somebody",
    "service_tier": "flex",
    "store": False,
    "temperature": 0.0,
    "text": {
        "format": {"type": "json_schema", "name": "said", "schema": {"type": "object"}, "strict": True},
        "verbosity": "low",
    },
    "tool_choice": {"type": "function", "name": "weather"},
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "ada",
}
SIDE = """([selector, at]) => {
    const text = document.querySelector(selector).firstChild, range = document.createRange();
    range.setStart(text, at);
    range.setEnd(text, at + 1);
    const box = text.parentNode.getBoundingClientRect();
    return range.getBoundingClientRect().x < (box.left + box.right) / 2 ? 'left' : 'right';
}"""
"""On which side of its box a letter stands."""
OF_ONE_RUN = {"id", "status", "created_at", "started_at", "completed_at", "expires_at", "output", "usage", "attempts"}


def test_a_prompt_becomes_text_while_the_page_stays_free(visit: Visit, stage: Stage) -> None:
    visit.submit("[[tokens 60 rate=30]] Write slowly")
    expect(visit.status).to_have_text("Running")
    expect(visit.answer).to_contain_text("w5 ")
    prompt = visit.page.get_by_role("textbox", name="Prompt")
    expect(prompt).to_be_focused()
    expect(prompt).to_have_value("")
    prompt.fill("[[gate free]] The next one")
    expect(visit.page.locator("#activity")).to_have_text("1 running")
    prompt.press("Control+Enter")
    expect(visit.row("The next one")).to_have_attribute("aria-current", "true")
    visit.row("Write slowly").click()
    expect(visit.status).to_have_text("Completed")
    assert visit.said() == words(60)
    expect(visit.row("Write slowly")).to_contain_text(re.compile(r"Completed.*\d+ tokens"))
    expect(visit.page.locator("#facts")).to_contain_text("60 tokens out")
    expect(visit.page.locator("#asked")).to_have_text("[[tokens 60 rate=30]] Write slowly")
    stage.upstream.open_gate("free")
    expect(visit.row("The next one")).to_contain_text("Completed")
    assert len(visit.asked("POST", "/v1/responses")) == 2


def test_instructions_and_a_model_that_is_not_listed(visit: Visit, stage: Stage) -> None:
    page = visit.page
    page.get_by_text("Instructions", exact=True).click()
    page.get_by_role("textbox", name="Instructions").fill("Be brief.")
    page.locator("#model").select_option("Another name…")
    page.get_by_role("textbox", name="Name of the model").fill("served-by-a-pattern")
    visit.submit("Odd one")
    expect(visit.status).to_have_text("Completed")
    expect(page.locator("#job-title")).to_have_text("served-by-a-pattern")
    expect(page.locator("#asked")).to_contain_text("Be brief.")
    [job] = visit.client.all()
    assert (job["model"], job["instructions"]) == ("served-by-a-pattern", "Be brief.")


def test_a_job_from_elsewhere_that_is_no_stream(visit: Visit, stage: Stage) -> None:
    job_id = visit.client.submit("[[gate elsewhere]] From a script")
    visit.page.get_by_role("button", name="Refresh").click()
    visit.row("From a script").click()
    expect(visit.page.locator("#answer-note")).to_contain_text("not created as a stream")
    visit.until(lambda: [r for r in visit.requests if f"{job_id}?wait=" in r.url], "a long poll")
    visit.page.keyboard.press("Escape")
    visit.row("From a script").click()
    expect(visit.page.locator("#answer-note")).to_contain_text("not created as a stream")
    assert len([r for r in visit.requests if "stream=true" in r.url]) == 1
    stage.upstream.open_gate("elsewhere")
    expect(visit.answer).to_have_text("echo: From a script")
    expect(visit.status).to_have_text("Completed")


def test_cancel_in_mid_stream(visit: Visit, stage: Stage) -> None:
    visit.submit("[[tokens 900 rate=30]] Endless")
    expect(visit.answer).to_contain_text("w10 ")
    visit.page.get_by_role("button", name="Cancel").click()
    expect(visit.status).to_have_text("Cancelled")
    expect(visit.row("Endless")).to_contain_text("Cancelled")
    expect(visit.page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(visit.answer).to_contain_text("w10 ")
    expect(visit.page.locator("#answer-note")).to_contain_text("what there was until then")
    stage.upstream.wait_closed("Endless", 10)


def test_delete_asks_first(visit: Visit) -> None:
    visit.submit("Delete me")
    expect(visit.status).to_have_text("Completed")
    page = visit.page
    delete, dialog = page.get_by_role("button", name="Delete"), page.get_by_role("dialog")
    for keep in (lambda: page.get_by_role("button", name="Keep it").click(), lambda: page.keyboard.press("Escape")):
        delete.click()
        expect(dialog).to_contain_text("“Delete me”: its prompt and its text are gone for good.")
        keep()
        expect(dialog).to_be_hidden()
        expect(delete).to_be_focused()
    assert not visit.asked("DELETE", "/v1/")
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(visit.row("Delete me")).to_have_count(0)
    expect(page.get_by_text("No responses yet")).to_be_visible()
    assert list(visit.client.all()) == []


def test_a_failure_says_its_code_and_what_to_do(visit: Visit, stage: Stage) -> None:
    page = visit.page
    visit.submit("[[fail-first 4 status=503]] Third time lucky")
    expect(visit.status).to_have_text("Failed")
    failure = page.get_by_role("group", name="Failed: upstream_unavailable")
    expect(failure).to_contain_text("may succeed when you submit it again")
    expect(visit.row("lucky")).to_contain_text("Failed")
    failure.get_by_role("button", name="Submit again").click()
    expect(visit.status).to_have_text("Completed")
    expect(page.locator("#rows a")).to_have_count(2)
    assert {job["status"] for job in visit.client.all()} == {"failed", "completed"}
    visit.submit("[[error code=context_length_exceeded status=400]] Far too long")
    failure = page.get_by_role("group", name="Failed: context_length_exceeded")
    expect(failure).to_contain_text("Shorten the prompt")
    expect(failure).to_contain_text("will most likely fail again")
    failure.get_by_role("button", name="Edit the prompt").click()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value(re.compile("Far too long"))


def test_the_same_once_more_is_all_that_was_asked(visit: Visit) -> None:
    first = visit.client.request("POST", "/v1/responses", {"model": "gpt-4.1", "background": True, **EVERYTHING}).json
    visit.client.wait(first["id"])
    visit.page.get_by_role("button", name="Refresh").click()
    visit.row("Everything").click()
    visit.page.get_by_role("button", name="Submit again").click()
    expect(visit.page.locator("#rows a")).to_have_count(2)
    again = next(job["id"] for job in visit.client.all() if job["id"] != first["id"])
    visit.client.wait(again)
    told = [visit.client.request("GET", f"/v1/responses/{job_id}").json for job_id in (first["id"], again)]
    shown = [visit.client.request("GET", f"/v1/responses/{job_id}/input_items").json for job_id in (first["id"], again)]
    assert {name: value for name, value in told[1].items() if name not in OF_ONE_RUN} == {
        name: value for name, value in told[0].items() if name not in OF_ONE_RUN
    }
    assert [item["content"] for item in shown[1]["data"]] == [item["content"] for item in shown[0]["data"]]
    assert not EVERYTHING.keys() - {"input"} - told[0].keys()


def test_a_name_that_no_model_has_can_be_corrected(visit: Visit) -> None:
    error = {"message": "There is no such model.", "code": "model_not_found"}
    visit.page.route("**/v1/responses", lambda route: route.fulfill(status=404, json={"error": error}))
    visit.submit("Whatever")
    expect(visit.page.locator("#outbox")).to_contain_text("There is no such model. Choose a model from the list")
    visit.page.get_by_role("button", name="Discard").click()
    expect(visit.page.get_by_text("No responses yet")).to_be_visible()


def test_the_place_in_the_queue(visit: Visit, stage: Stage) -> None:
    stage.worker.freeze()
    try:
        visit.submit("Stand in line")
        visit.submit("Behind it")
        expect(visit.row("Behind it")).to_contain_text("Queued, number 2 in line")
        expect(visit.row("Stand in line")).to_contain_text("Queued, number 1 in line")
        expect(visit.page.locator("#activity")).to_have_text("2 queued")
        expect(visit.page.locator("#answer-note")).to_have_text("It begins when a worker is free.")
        assert visit.page.title() == "(2) Simmer"
    finally:
        stage.worker.resume()
    expect(visit.row("Behind it")).to_contain_text("Completed")
    expect(visit.row("Stand in line")).to_contain_text("Completed")


def test_what_a_model_says_is_text_and_never_markup(visit: Visit) -> None:
    visit.submit(f"[[text {MARKUP}]]")
    expect(visit.status).to_have_text("Completed")
    assert visit.said() == MARKUP
    assert visit.page.locator("#answer img, #answer b, #asked img, #rows img").count() == 0
    assert visit.page.title() == "Simmer"


def test_a_script_from_the_right_is_shown_from_the_right(visit: Visit) -> None:
    hebrew = "\u05e9\u05dc\u05d5\u05dd, Simmer."
    prompt = visit.page.get_by_role("textbox", name="Prompt")
    visit.submit(f"{hebrew}\n[[text Left\n{hebrew}]]")
    expect(visit.status).to_have_text("Completed")
    sides = [("#asked .part-text", 0), ("#answer .part-text", 0), ("#answer .part-text", 5), ("#rows .row-title", 0)]
    assert [visit.page.evaluate(SIDE, list(side)) for side in sides] == ["right", "left", "right", "right"]
    assert prompt.evaluate("node => getComputedStyle(node).unicodeBidi") == "plaintext"


def test_other_kinds_of_output(visit: Visit) -> None:
    visit.submit('[[tool weather {"city": "Bern"}]] Call')
    expect(visit.answer).to_contain_text("Function call: weather")
    expect(visit.answer).to_contain_text('"Bern"')
    visit.submit("[[refusal I will not.]] Refuse")
    expect(visit.answer).to_have_text("RefusedI will not.")
    visit.submit("[[tokens 4 rate=100]] [[finish length]] Cut")
    expect(visit.status).to_have_text("Cut off")
    expect(visit.page.locator("#answer-note")).to_contain_text("the most tokens that it may have")


def test_the_text_can_be_copied(visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.submit("[[tokens 5 rate=100]] Copy me")
    expect(visit.status).to_have_text("Completed")
    visit.page.get_by_role("button", name="Copy text").click()
    expect(visit.page.locator("#toast")).to_have_text("Copied.")
    assert visit.page.evaluate("navigator.clipboard.readText()") == words(5)


def test_a_response_that_is_not_there(visit: Visit) -> None:
    visit.page.goto(f"{visit.client.url}/#/resp_{'0' * 32}")
    expect(visit.page.locator("#line")).to_contain_text("not there any more")
    expect(visit.page.get_by_role("button", name="Delete")).to_be_hidden()
