"""Where commands find the service, and what they take for a job's id."""

import json
from pathlib import Path
from uuid import UUID

import click
import pytest

from app.commands.access import JOB_ID, interruptible, site_settings
from app.domain.ids import public_id
from app.settings import Settings

ID = UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
DATABASE, BROKER = "postgresql://u:p@h/d", "redis://h/0"


@pytest.fixture(autouse=True)
def _no_settings_of_the_callers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIMMER_{name.upper()}", raising=False)
    monkeypatch.setenv("SIMMER_HOME", str(tmp_path))


def running(home: Path, **more: str) -> None:
    (home / "run.json").write_text(json.dumps({"database_url": DATABASE, "broker_url": BROKER, **more}))


def test_without_settings_the_running_stack_is_meant_with_its_models(tmp_path: Path) -> None:
    assert site_settings().database_url == ""
    running(tmp_path, models="/its/models.toml")
    found = site_settings()
    assert (found.database_url, found.broker_url, found.models) == (DATABASE, BROKER, Path("/its/models.toml"))


def test_models_of_the_settings_outweigh_those_of_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running(tmp_path, models="/its/models.toml")
    monkeypatch.setenv("SIMMER_MODELS", "mine.toml")
    assert site_settings().models == Path("mine.toml")


def test_settings_outweigh_the_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running(tmp_path)
    monkeypatch.setenv("SIMMER_DATABASE_URL", "postgresql://elsewhere/d")
    found = site_settings()
    assert (found.database_url, found.broker_url) == ("postgresql://elsewhere/d", "")


@pytest.mark.parametrize("text", [public_id(ID), str(ID), ID])
def test_a_jobs_id_in_any_form(text: str | UUID) -> None:
    assert JOB_ID.convert(text, None, None) == ID


@pytest.mark.parametrize("text", ["", "resp_", "resp_xyz", "whe_0195a1b2c3d47e5f8a9b0c1d2e3f4a5b", "canary"])
def test_what_is_no_id_is_not_quoted_back(text: str) -> None:
    with pytest.raises(click.BadParameter, match="It is no id of a job") as refused:
        JOB_ID.convert(text, None, None)
    assert "canary" not in refused.value.message


def test_ctrl_c_is_an_exit_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left, interruptible(lambda: "It goes on."):
        raise KeyboardInterrupt
    assert left.value.code == 130
    assert capsys.readouterr() == ("", "\nIt goes on.\n")
