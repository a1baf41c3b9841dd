"""How the page and its files are served; what it does stands in tests/browser."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.ui.files import assets, version
from tests.integration.api.conftest import refused
from tests.integration.api.test_docs import Page

ROOT = Path(__file__).parents[3]
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b|style=")
"""What would let a text become markup, or needs a weaker policy."""


@pytest.fixture
def reply(app: Flask) -> TestResponse:
    found = app.test_client().get("/")
    assert found.status_code == 200
    return found


def test_the_page_is_well_formed_and_loads_only_its_own_files(reply: TestResponse) -> None:
    page = Page(reply.text)
    assert reply.content_type == "text/html; charset=utf-8"
    assert reply.text.startswith("<!doctype html>\n<html lang=")
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert page.handlers == []
    assert not page.raw.get("script")
    own = {f"/ui/{version()}/{name}" for name in assets()}
    icon, *loaded = page.loaded
    assert icon.startswith("data:image/svg+xml,")
    assert sorted(loaded) == sorted(own)
    assert set(page.links) == {"#content", "/docs"}


def test_every_element_that_a_module_looks_up_is_there(reply: TestResponse) -> None:
    ids = set(Page(reply.text).ids)
    for name, content in assets().items():
        assert set(re.findall(r"byId\('([\w-]+)'\)", content.decode())) <= ids, name


def test_its_policy_allows_nothing_from_elsewhere_and_nothing_inline(reply: TestResponse) -> None:
    policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "manifest-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"


def test_no_file_makes_markup_of_text_or_names_another_host() -> None:
    for name, content in assets().items():
        assert not MARKUP.search(content.decode()), name
        assert not re.search(r"https?://|@import|url\(", content.decode()), name


@pytest.mark.parametrize("name", sorted(assets()))
def test_a_file_is_kept_forever_under_its_version(app: Flask, name: str) -> None:
    client = app.test_client()
    found = client.get(f"/ui/{version()}/{name}")
    assert (found.status_code, found.data) == (200, assets()[name])
    assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert found.content_type == {"css": "text/css", "js": "text/javascript"}[name.split(".")[1]] + "; charset=utf-8"
    for path in (f"/ui/{'0' * 16}/{name}", f"/ui/{name}"):
        other = client.get(path)
        assert (other.data, other.headers["Cache-Control"]) == (assets()[name], "no-cache")
        assert client.get(path, headers={"If-None-Match": other.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    "name", ["none.js", "..%2froutes.py", "../routes.py", "a/../base.css", "base.css/", "%00", "."]
)
def test_what_is_not_a_file_of_the_page_is_not_found(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/ui/{name}").status_code in {308, 404} or name == "a/../base.css"


def test_an_unknown_file_is_refused_like_anything_else(app: Flask) -> None:
    found = app.test_client().get("/ui/none.js")
    assert refused(found) == (404, "not_found_error", "not_found", None)


def test_the_page_is_asked_for_once(app: Flask, reply: TestResponse) -> None:
    again = app.test_client().get("/", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.data, reply.headers["Cache-Control"]) == (304, b"", "no-cache")


def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "app" / "ui").rglob("*.*"):
        assert path.suffix == ".pyc" or str(path.relative_to(ROOT)) in names
