"""Screenshots of the page in its states: `python -m tests.browser.shots FOLDER`."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.stage import PHONE, WIDE, Stage, Visit

_FOLDER = "SIMMER_SHOTS"
ARTICLE = (
    "[[text Background jobs let a page answer at once while the work goes on elsewhere.\n\n"
    "The server writes down what was asked, gives it an id, and puts it into a queue. A worker takes it, calls the "
    "model, and writes every piece of the text to the log of the job. Whoever reads along sees the words as they "
    "come.\n\n"
    "If the connection drops, nothing is lost: the reader asks for all that came after the last piece it has.]]"
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2, "has_touch": True},
}


def shoot(visit: Visit, name: str) -> None:
    folder = Path(os.environ[_FOLDER])
    visit.page.screenshot(path=folder / f"{name}.png")


def fill(visit: Visit) -> None:
    """Jobs of every kind, made elsewhere."""
    client = visit.client
    for text in (
        "Compare three ways to store a time zone",
        "Translate the release notes into French [[status 400]]",
        "Summarise the incident of last Tuesday for the board",
    ):
        client.wait(client.submit(text))
    client.cancel(client.submit("Draft a migration plan for the billing tables [[hang]]"))


@pytest.mark.parametrize("look", LOOKS)
def test_shots(stage: Stage, look: str) -> None:
    with stage.visit(**LOOKS[look]) as visit:
        page = visit.page
        page.goto(stage.url)
        shoot(visit, f"{look}-1-sign-in")
        page.get_by_label("API key").fill("sk-simmer-nonsense")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert").first).to_contain_text("not valid")
        shoot(visit, f"{look}-2-wrong-key")
        visit.sign_in()
        expect(page.get_by_text("No responses yet")).to_be_visible()
        shoot(visit, f"{look}-3-empty")
        fill(visit)
        page.get_by_role("button", name="Refresh").click()
        expect(visit.row("billing")).to_be_visible()
        visit.client.submit(f"Name ten cities on a river [[gate {look}]]", model="gpt-4.1-mini")
        visit.submit("Explain how a job queue survives a crash, with the failure of each part [[tokens 400 rate=25]]")
        if look == "phone":
            visit.row("survives").click()
        expect(visit.answer).to_contain_text("w40 ")
        shoot(visit, f"{look}-4-running")
        visit.context.set_offline(True)
        expect(page.get_by_text("You are offline")).to_be_visible()
        shoot(visit, f"{look}-5-offline")
        visit.context.set_offline(False)
        expect(page.get_by_text("You are offline")).to_be_hidden()
        if look == "phone":
            page.get_by_role("button", name="All responses").click()
            expect(visit.row("survives")).to_be_visible()
            shoot(visit, f"{look}-6-list")
        visit.submit(f"What are background jobs good for?\n{ARTICLE}")
        if look == "phone":
            visit.row("What are").click()
        expect(visit.status).to_have_text("Completed")
        shoot(visit, f"{look}-7-streamed")
        page.get_by_role("button", name="Delete").click()
        shoot(visit, f"{look}-8-delete")
        page.get_by_role("button", name="Keep it").click()
        if look == "phone":
            page.get_by_role("button", name="All responses").click()
        visit.row("French").click()
        expect(page.get_by_text("Failed: upstream_error")).to_be_visible()
        shoot(visit, f"{look}-9-failed")


if __name__ == "__main__":
    os.environ[_FOLDER] = sys.argv[1]
    sys.exit(pytest.main([__file__, "-q", "-x", "-p", "no:cacheprovider"]))
