"""The page, whose style and script stand in it."""

import base64
import hashlib
from importlib.resources import files

from flask import Blueprint, Flask, Response, render_template
from markupsafe import Markup

from app.api.docs import page
from app.api.openapi.routes import UNCHANGED, described, kept, published
from app.api.operation import Answer, operation

blueprint = Blueprint("docs", __name__, template_folder="templates")


def _asset(name: str) -> Markup:
    text = files("app.api.docs").joinpath("assets", name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - our own file  # nosec B704


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


STYLE, SCRIPT = _asset("page.css"), _asset("page.js")
POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may wear and run what stands in it, and load nothing."""


@blueprint.get("/docs")
@operation(
    answers={
        200: Answer("The page.", media_type="text/html", headers=("ETag", "Content-Security-Policy")),
        304: UNCHANGED,
    },
    headers=("If-None-Match",),
    errors=("overloaded",),
)
def docs() -> Response:
    """Get the API as a page to read.

    It loads nothing from anywhere, and works without scripts.
    """
    response = published(kept("docs.html", _render), "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _render(app: Flask) -> bytes:
    document = described(app)
    return render_template("docs.html", document=document, page=page, style=STYLE, script=SCRIPT).encode()
