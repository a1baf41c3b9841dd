"""The code of the guide to webhooks, run as a reader would, with a Simmer that delivers."""

import shutil

import pytest

from tests.acceptance.test_guides import blocks, run
from tests.acceptance.webhooks.site import Site

PAGE = "guides/webhooks.md"
SHOWN = {
    "python": ["http://127.0.0.1:", "response.completed True", ""],
    "javascript": ["response.completed "],
    "sh": ['"status":"pending"'],
}


def test_no_language_is_left_out() -> None:
    assert blocks(PAGE).keys() == SHOWN.keys()


@pytest.mark.parametrize("language", SHOWN)
def test_every_block_runs_and_shows_something(site: Site, language: str) -> None:
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip(f"NOT RUN: the shell code of {PAGE}, since this machine has no curl")
    code = blocks(PAGE)[language]
    printed = run(language, code, site.url, site.client().key)
    assert len(printed) == len(code) == len(SHOWN[language])
    for text, wanted in zip(printed, SHOWN[language], strict=True):
        assert text
        assert wanted in text.replace(" :", ":")
