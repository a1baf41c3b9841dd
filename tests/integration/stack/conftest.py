"""Homes for the stack's tests; a database that had to lie outside of one goes with it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stack.postgres import EmbeddedPostgres


@pytest.fixture
def hidden_home(tmp_path: Path) -> Iterator[Path]:
    """A home below a folder that only its owner may enter."""
    tmp_path.chmod(0o700)
    yield tmp_path / "home"
    EmbeddedPostgres(tmp_path / "home", 0).destroy()


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that every user can walk to."""
    with tempfile.TemporaryDirectory(prefix="simmer-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "home"
