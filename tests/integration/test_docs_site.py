"""The docs as a site: it builds strictly, is whole, loads nothing from elsewhere, and all its code is run by a test."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from flask import Flask

from app.api.openapi.codes import CODES
from app.api.openapi.document import describe
from app.factory import create_app
from app.settings import Settings
from tests.docs_site import build
from tests.fences import DOCS, ROOT, fences

GENERATED = {"index.md", "reference.md", "contributing.md", "security.md", "changelog.md"}
GENERATED.add("examples/celery-pipeline.md")
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "form": "action",
}
_ELSEWHERE = re.compile(r"\A(?:[a-z]+:)?//")
_CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")

RUN_BY = {
    "tests/acceptance/test_guides.py": {"api.md", "guides/polling-and-timeouts.md", "guides/from-openai.md"},
    "tests/acceptance/test_strangers_path.py": {"tutorial.md"},
    "tests/acceptance/webhooks/test_guide.py": {"guides/webhooks.md"},
    "tests/acceptance/test_operations_pages.py": {
        "operations/backup.md",
        "operations/flower.md",
        "operations/scale.md",
        "operations/troubleshooting.md",
    },
}
"""Pages whose every block is run, and by what."""
NOT_RUN = {
    ("operations/deploy.md", "cp .env.example .env"): "wants Docker; tests/integration/test_compose_commands.py "
    "runs each command of compose.yaml without it",
    ("operations/secure.md", "simmer encryption new-key"): "tests/integration/test_encryption_commands.py runs them",
    (
        "cli.md",
        "simmer doctor",
    ): "names jobs that are not there; tests/integration/commands runs each of these commands",
    ("cli.md", 'eval "$(simmer completion bash)"'): "changes the shell; the tests of the commands read the scripts",
    ("metrics.md", "OTEL_EXPORTER_OTLP_ENDPOINT="): "a line of an environment; the tests of traces set it",
    ("../README.md", "make demo"): "tests/integration/stack runs the demo, and this is the tests' own command",
    ("../README.md", "make up"): "tests/acceptance/test_strangers_path.py runs what it runs",
    ("../CONTRIBUTING.md", "make setup"): "the targets that CI runs, this one among them",
    ("../CONTRIBUTING.md", "rm tests/data/releases"): "changes the checkout, once for each release",
}
"""Blocks that no test runs, by their beginning, with the reason."""
STRANGER = {("../README.md", "curl "), ("../README.md", "export SIMMER_DATABASE_URL"), ("../README.md", "import os")}
"""Blocks of the README that test_strangers_path.py and test_guides.py run."""


class Page(HTMLParser):
    """What a built page loads, where it links to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif found := given.get(LOADED.get(tag, "")):
            self.loads.append(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds."""
    folder = tmp_path_factory.mktemp("site")
    build(folder, SIMMER_RETENTION="7")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path) for path in site.rglob("*.html")}


def test_every_page_of_the_docs_is_built(pages: dict[str, Page]) -> None:
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "generators" not in path.parts}
    expected = {_built(page) for page in written | GENERATED}
    assert set(pages) == expected | {"404.html"}


def _built(page: str) -> str:
    # The front page of a folder.
    return re.sub(r"(^|/)README\.md$", r"\1index.md", page).removesuffix(".md") + ".html"


def test_every_page_is_in_the_navigation(pages: dict[str, Page]) -> None:
    front = {urldefrag(link).url for link in pages["index.html"].links}
    assert set(pages) - {_beside(link) for link in front} - {"404.html"} == set()


def _beside(link: str) -> str:
    return "index.html" if link in {"", "."} else unquote(link).removeprefix("./")


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    loads = {name: [load for load in page.loads if _ELSEWHERE.match(load)] for name, page in pages.items()}
    assert {name: found for name, found in loads.items() if found} == {}
    styles = {str(path): _CSS_URL.findall(path.read_text("utf-8")) for path in site.rglob("*.css")}
    assert styles
    assert [url for found in styles.values() for url in found if _ELSEWHERE.match("".join(url))] == []
    assert sum(len(page.loads) for page in pages.values()) > len(pages)


def test_what_is_loaded_is_there(site: Path, pages: dict[str, Page]) -> None:
    missing = [
        (name, load)
        for name, page in pages.items()
        for load in page.loads
        # The page for unknown addresses can't know where it is shown.
        if name != "404.html" and not load.startswith("data:") and not _file(site, name, load).is_file()
    ]
    assert missing == []


def test_every_link_leads_to_a_page_and_an_anchor_of_it(site: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for link in () if name == "404.html" else page.links:
            if _ELSEWHERE.match(link) or link.startswith("mailto:"):
                continue
            aim = _file(site, name, link)
            anchor = unquote(urldefrag(link).fragment)
            known = pages.get(str(aim.relative_to(site)))
            if not aim.is_file() or (anchor and known and anchor not in known.anchors):
                broken.append((name, link))
    assert broken == []


def test_every_link_works_on_github_as_well() -> None:
    written = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    broken = []
    for page in written:
        text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text)):
            aim = page.parent / target if target else page
            if "generators" not in page.parts and not (aim.exists() and (not anchor or anchor in _headings(aim))):
                broken.append((page.name, f"{target}#{anchor}"))
    assert broken == []


def _headings(page: Path) -> set[str]:
    """The anchors that GitHub gives them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def _file(site: Path, page: str, link: str) -> Path:
    path = unquote(urlsplit(link).path)
    aim = (site / page).parent / path if path else site / page
    return (aim / "index.html" if aim.is_dir() else aim).resolve()


@pytest.fixture(scope="module")
def app() -> Flask:
    models = ROOT / "deploy" / "models.example.toml"
    return create_app(
        Settings(database_url="postgresql://x@127.0.0.1/x", broker_url="redis://127.0.0.1/0", models=models)
    )


def test_the_reference_has_every_operation_with_its_parameters_and_errors(site: Path, app: Flask) -> None:
    document: Any = describe(app)
    parts = re.split(r'<h[23] id="', (site / "reference.html").read_text("utf-8"))
    sections = {part.partition('"')[0]: unescape(re.sub(r"<[^>]+>", "", part)) for part in parts}
    for method, path, operation in _operations(document):
        section = sections[operation["operationId"]]
        assert f"{method} {path}\n" in section
        named = [part.get("name") or part["$ref"].rpartition("/")[2] for part in operation["parameters"]]
        assert [name for name in named if name not in section] == []
        assert [status for status in operation["responses"] if status not in section] == []
    assert [code for code in CODES if code not in sections["errors"]] == []
    assert [name for name in document["components"]["schemas"] if f"schema-{name}" not in sections] == []


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_reference_tells_the_defaults_not_this_machine_s_settings(site: Path) -> None:
    text = (site / "reference.html").read_text("utf-8")
    assert "kept for 24 hours" in text
    assert "7 seconds" not in text


def test_search_knows_all_pages(site: Path, pages: dict[str, Page]) -> None:
    """As a script beside the JSON, so that it works from a disk, too."""
    index = (site / "search" / "search_index.js").read_text("utf-8")
    assert [page for page in pages if page != "404.html" and f'"{page}' not in index and page != "index.html"] == []


def test_every_block_of_code_is_run_by_a_test_or_says_why_not() -> None:
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "generators" not in path.parts}
    whole = set().union(*RUN_BY.values())
    left = {(page, code) for page in written | {"../README.md", "../CONTRIBUTING.md"} for _, code in fences(page)}
    left = {(page, code) for page, code in left if page not in whole}
    answered = [*NOT_RUN, *STRANGER]
    unanswered = {(page, code) for page, code in left if not _begins(page, code, answered)}
    assert unanswered == set()
    stale = [known for known in answered if not any(_begins(page, code, [known]) for page, code in left)]
    assert stale == []
    assert [page for page in whole if page not in written] == []


def _begins(page: str, code: str, known: list[tuple[str, str]]) -> bool:
    return any(page == known_page and code.startswith(start) for known_page, start in known)
