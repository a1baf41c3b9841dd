"""Alembic as Simmer configures it, on a database of a test."""

from pathlib import Path

from alembic.config import Config

from app.db.engine import Database

ROOT = Path(__file__).parents[3]


def config(database: Database) -> Config:
    """Give it to alembic's commands."""
    made = Config(toml_file=ROOT / "pyproject.toml")
    made.attributes["database"] = database
    return made
