"""The reference of the HTTP API as a page of Markdown, from the OpenAPI document of the app."""

import logging
from pathlib import Path

from flask import Flask
from jinja2 import Environment, FileSystemLoader

from app.api.docs import page
from app.api.openapi.document import describe
from app.factory import create_app
from app.settings import Settings

ROOT = Path(__file__).parents[2]
NOWHERE = Settings(
    database_url="postgresql://docs@127.0.0.1/docs",
    broker_url="redis://127.0.0.1/0",
    models=ROOT / "deploy" / "models.example.toml",
)
"""Enough to build the app, which connects to nothing before it is asked something."""


def reference() -> str:
    """The whole page: every operation, parameter, answer and error, every header and schema."""
    # Autoescaped: what is text becomes HTML, and stays that in Markdown.
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("http_reference.md").render(document=describe(_app()), page=page)


def _app() -> Flask:
    # The app sets up logs for a process of its own; here they are mkdocs's.
    handlers, level = logging.root.handlers[:], logging.root.level
    app = create_app(NOWHERE)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    return app
