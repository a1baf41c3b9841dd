"""The command line of the stack, as far as nothing has to run for it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.stack.folders import home_lock


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("SIMMER_HOME", str(home))
    return home


def test_destroy_asks_first(home: Path) -> None:
    (home / "api-key.json").touch()
    assert CliRunner().invoke(cli, ["destroy"], input="n\n").exit_code == 1
    assert (home / "api-key.json").exists()


def test_destroy_removes_what_the_stack_made_and_nothing_else(home: Path) -> None:
    for name in ("api-key.json", "ports.json", "mine.txt"):
        (home / name).touch()
    (home / "valkey").mkdir()
    assert CliRunner().invoke(cli, ["destroy", "--yes"]).exit_code == 0
    assert [path.name for path in home.iterdir()] == ["mine.txt"]


def test_destroy_removes_an_empty_home_and_forgives_a_missing_one(home: Path) -> None:
    for _ in range(2):
        assert CliRunner().invoke(cli, ["destroy", "--yes"]).exit_code == 0
        assert not home.exists()


def test_destroy_refuses_while_a_stack_runs_there(home: Path) -> None:
    (home / "api-key.json").touch()
    with home_lock(home):
        result = CliRunner().invoke(cli, ["destroy", "--yes"])
    assert result.exit_code == 1
    assert "runs in" in result.output
    assert (home / "api-key.json").exists()


def test_a_wrong_setting_is_told_without_a_traceback(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMER_DATABASE_URL", "mysql://x")
    result = CliRunner().invoke(cli, ["up"])
    assert result.exit_code == 1
    assert "SIMMER_DATABASE_URL" in result.output
    assert "Traceback" not in result.output
