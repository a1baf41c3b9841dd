"""The page and its files. They hold nothing of anybody's: the page asks the API, with its user's key."""

from flask import Blueprint, Flask, Response, render_template

from app.api.openapi.routes import UNCHANGED, kept, published
from app.api.operation import Answer, operation
from app.domain.errors import NotFoundError
from app.ui.files import assets, content_type, version

blueprint = Blueprint("ui", __name__, template_folder="templates")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "manifest-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from another host, and nothing that stands in the page itself: no markup in a text can run."""
FOREVER = "public, max-age=31536000, immutable"


@blueprint.get("/")
@operation(
    answers={
        200: Answer("The page.", media_type="text/html", headers=("ETag", "Content-Security-Policy")),
        304: UNCHANGED,
    },
    headers=("If-None-Match",),
    errors=("overloaded",),
)
def page() -> Response:
    """Get the page for people.

    It signs in with an API key, submits prompts and shows what becomes of them, all through this API.
    """
    response = published(kept("page.html", _render), "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.get("/ui/<path:asset>")
@operation(
    answers={
        200: Answer("The file.", media_type="text/css", other_media_types=("text/javascript",), headers=("ETag",)),
        304: UNCHANGED,
    },
    headers=("If-None-Match",),
    errors=("not_found", "overloaded"),
)
def file(asset: str) -> Response:
    """Get a file of the page, a style sheet or a script.

    Under the version that the page names it never changes. Under any other, as two releases side by side may have them,
    it is this release's.
    """
    asked_version, _, name = asset.rpartition("/")
    if name not in assets():
        raise NotFoundError("The page has no such file. Load the page anew.")
    response = published(assets()[name], content_type(name) or "")
    if asked_version == version():
        response.headers["Cache-Control"] = FOREVER
    return response


def _render(_: Flask) -> bytes:
    scripts = sorted(name for name in assets() if name.endswith(".js"))
    return render_template(
        "page.html",
        version=version(),
        sheets=sorted(name for name in assets() if name.endswith(".css")),
        # Without these the browser would learn of each module from the one that imports it.
        modules=[name for name in scripts if name not in {"theme.js", "main.js"}],
    ).encode()
