"""Files that hold secrets: their mode, their replacement, and what survives damage."""

import os
from pathlib import Path

import pytest

from app.stack.private import new_password, read_json, read_or_create, write_private


def test_a_private_file_is_readable_by_its_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        write_private(file, "new")
    finally:
        os.umask(before)
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_write_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "\ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    first = read_or_create(file, new_password)
    assert read_or_create(file, new_password) == first
    assert len(first) >= 32
    assert new_password() != first


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_damaged_file_reads_as_empty(tmp_path: Path, content: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(content)
    assert read_json(file) == {}


def test_a_missing_file_reads_as_empty(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") == {}
