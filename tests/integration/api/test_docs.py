"""The page: everything of the document is on it, it is well-formed HTML, and it loads nothing."""

import base64
import hashlib
import re
import shlex
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.api.docs.page import kind, prose, words
from app.container import Container
from app.domain.scopes import SCOPES
from tests.integration.api.conftest import Api
from tests.integration.services.public_sender import PublicSender

VOID = {"meta", "link", "input", "br", "hr", "img"}
LOADING = {"src", "srcset", "action", "formaction", "data", "poster", "background"}
ROOT = Path(__file__).parents[3]


class Page(HTMLParser):
    """Checks that every element is closed where it should be, and gathers what a test asks for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.raw: dict[str, str] = {}
        self.text = ""
        self.blocks: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "pre":
            self.blocks.append("")
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")
            if name in LOADING or (name == "href" and tag != "a"):
                self.loaded.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()} closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"style", "script"}:
            self.raw[self.open[-1]] = data
        if "pre" in self.open:
            self.blocks[-1] += data
        self.text += data


@pytest.fixture
def reply(app: Flask) -> Any:
    found = app.test_client().get("/docs")
    assert found.status_code == 200
    return found


@pytest.fixture
def page(reply: Any) -> Page:
    return Page(reply.get_data(as_text=True))


@pytest.fixture
def document(app: Flask) -> Any:
    return app.test_client().get("/openapi.json").json


def test_it_is_well_formed(reply: Any, page: Page) -> None:
    assert reply.content_type == "text/html; charset=utf-8"
    assert reply.text.startswith("<!doctype html>\n<html lang=")
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_it_loads_nothing(reply: Any, page: Page) -> None:
    assert page.loaded == ["data:,"]
    assert page.handlers == []
    assert not re.search(r"@import|url\(", page.raw["style"])
    policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[name].encode()).digest()).decode()
        assert policy[f"{name}-src"] == f"'sha256-{digest}'"
    assert policy.keys() == {
        "default-src",
        "style-src",
        "script-src",
        "img-src",
        "base-uri",
        "form-action",
        "frame-ancestors",
    }


def test_everything_in_the_document_is_on_it(document: Any, page: Page) -> None:
    components = document["components"]
    for path, methods in document["paths"].items():
        assert path in page.text
        for operation in methods.values():
            assert operation["operationId"] in page.ids
            assert operation["summary"].replace("`", "") in page.text
            for parameter in operation["parameters"]:
                assert parameter.get("name", parameter.get("$ref", "").rpartition("/")[2]) in page.text
    assert {f"schema-{name}" for name in components["schemas"]} <= set(page.ids)
    assert {f"error-{code}" for code in components["examples"]} <= set(page.ids)
    assert {f"header-{name}" for name in components["headers"]} <= set(page.ids)
    for schema in components["schemas"].values():
        assert all(name in page.text for name in schema.get("properties", {}))


def test_its_commands_work(app: Flask, container: Container, page: Page, document: Any) -> None:
    vars(app.extensions["simmer"])["webhook_sender"] = PublicSender()
    key = container.keys.create("all", SCOPES)[1]
    api = Api(app, key)
    commands = [block for block in page.blocks if block.startswith("curl ")]
    for command in commands:
        words = shlex.split(command.replace("$SIMMER_API_KEY", key))
        method = "GET"
        if words[1] == "-X":
            method, words = words[2], [words[0], *words[3:]]
        headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
        body = next((words[n + 1] for n, word in enumerate(words) if word == "-d"), None)
        reply = api.ask(method, words[1].removeprefix("$SIMMER_URL"), headers=headers, data=body)
        assert reply.status_code == 200 or reply.json["error"]["code"] == "not_found", command
    assert len(commands) == sum(map(len, document["paths"].values()))


def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "app" / "api" / "docs").rglob("*.*"):
        assert path.suffix == ".pyc" or str(path.relative_to(ROOT)) in names


def test_it_is_asked_for_once(app: Flask, reply: Any, api: Api) -> None:
    again = app.test_client().get("/docs", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == reply.headers["Cache-Control"] == "no-cache"
    assert api.ask("GET", "/docs").data == reply.data


def test_text_is_escaped_and_marked() -> None:
    assert words("`a<b` and **c & d**") == "<code>a&lt;b</code> and <strong>c &amp; d</strong>"
    assert prose("one\ntwo\n\n<three>") == "<p>one two</p>\n<p>&lt;three&gt;</p>\n"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, at least 1, at most 9"),
        ({"type": "string", "minLength": 1, "maxLength": 9}, "string, not empty, at most 9 characters"),
        ({"type": "array", "minItems": 2}, "list of anything, at least 2 of them"),
        ({"$ref": "#/components/schemas/A"}, '<a href="#schema-A">A</a>'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/A"}}, 'list of <a href="#schema-A">A</a>'),
        ({"enum": ["<a>", 1]}, "<code>&#34;&lt;a&gt;&#34;</code> or <code>1</code>"),
        ({"const": True}, "<code>true</code>"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({}, "anything"),
    ],
)
def test_types_in_words(schema: Any, said: str) -> None:
    assert kind(schema) == said
