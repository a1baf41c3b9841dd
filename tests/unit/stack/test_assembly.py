"""Which models serve the jobs, what is kept in the home, and what `run.json` holds."""

import json
import tomllib
from pathlib import Path

import pytest

from app.settings import Settings
from app.stack.assembly import MODELS, Backends, Options, environment, flower_login, own_models
from app.stack.errors import StackError
from app.stack.runfile import Addresses, RunFile
from app.stack.up import banner

ADDRESSES = Addresses(
    api_url="http://127.0.0.1:8000",
    api_key="sk-simmer-1",
    flower_url="http://127.0.0.1:5555",
    flower_user="admin",
    flower_password="flower-password",
    database_url="postgresql://simmer:x@127.0.0.1:1/simmer",
    broker_url="redis://:x@127.0.0.1:2/0",
    models="/home/models.toml",
    model_url=None,
)


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.touch()
    return file


def test_by_default_the_embedded_model_serves() -> None:
    assert own_models(Settings(models=None), Options()) is None


def test_the_option_goes_before_the_setting(models_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.touch()
    assert own_models(Settings(models=other), Options(models=models_file)) == models_file
    assert own_models(Settings(models=other), Options(model=False)) == other


def test_no_model_at_all_is_refused_with_the_way_out() -> None:
    with pytest.raises(StackError, match=r"--models FILE or SIMMER_MODELS"):
        own_models(Settings(models=None), Options(model=False))


def test_a_missing_models_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"none\.toml"):
        own_models(Settings(models=tmp_path / "none.toml"), Options())


def test_the_generated_models_file_maps_every_name_to_the_embedded_model() -> None:
    models = tomllib.loads(MODELS.format(url="http://127.0.0.1:1/v1", model="smollm2-135m"))
    assert models["upstreams"]["local"] == {"protocol": "chat", "base_url": "http://127.0.0.1:1/v1"}
    assert models["models"] == {"*": {"upstream": "local", "model": "smollm2-135m"}}


def test_flowers_login_is_made_once(tmp_path: Path) -> None:
    login = flower_login(tmp_path)
    assert flower_login(tmp_path) == login
    assert (tmp_path / "flower.json").stat().st_mode & 0o777 == 0o600
    assert login.password != login.cookie_secret


def test_run_json_is_private_complete_and_removed(tmp_path: Path) -> None:
    runfile = RunFile(tmp_path)
    runfile.write(ADDRESSES, {"api": 1})
    runfile.write(ADDRESSES, {"api": 2})
    content = json.loads(runfile.path.read_text())
    assert content["pids"] == {"api": 2}
    assert content["api_key"] == "sk-simmer-1"
    assert content["model_url"] is None
    assert runfile.path.stat().st_mode & 0o777 == 0o600
    runfile.remove()
    runfile.remove()
    assert not any(tmp_path.iterdir())


def test_the_banner_tells_every_address_and_a_line_to_paste() -> None:
    text = banner(ADDRESSES, "/home/run.json")
    for part in ("http://127.0.0.1:8000", "sk-simmer-1", "flower-password", "/home/run.json", "\ncurl http"):
        assert part in text


@pytest.mark.parametrize(
    ("given", "passed_on"), [(None, "127.0.0.0/8,::1/128"), ("10.0.0.0/8", "10.0.0.0/8"), ("", "")]
)
def test_webhooks_may_come_to_this_machine_unless_a_setting_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None, passed_on: str
) -> None:
    monkeypatch.delenv("SIMMER_WEBHOOK_ALLOWED_NETWORKS", raising=False)
    if given is not None:
        monkeypatch.setenv("SIMMER_WEBHOOK_ALLOWED_NETWORKS", given)
    backends = Backends("postgresql://127.0.0.1/simmer", "redis://127.0.0.1/0", tmp_path / "models.toml", None, ())

    assert environment(tmp_path, backends, 5)["SIMMER_WEBHOOK_ALLOWED_NETWORKS"] == passed_on
