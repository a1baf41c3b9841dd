"""The `simmer` command without a database: what it asks for, and how it says that something is wrong."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app import cli as command
from app.domain.errors import ConfigurationError
from app.settings import Settings
from tests.commands import loaded

CANARY = "canary-1f5b"
KEY_ID = "0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
MODELS = """
[upstreams.far]
base_url = "https://example.com/v1"
api_key_env = "FAR_KEY"
[upstreams.near]
base_url = "http://127.0.0.1:9/v1"
[models."gpt-4.1"]
upstream = "far"
model = "real"
soft_time_limit = 1.5
time_limit = 2
max_attempts = 1
[models."*"]
upstream = "near"
"""


@pytest.fixture(autouse=True)
def _no_settings_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [f"SIMMER_{field.upper()}" for field in Settings.model_fields] + ["FAR_KEY"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command.cli, arguments)


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the entry point, as the shell sees it."""
    monkeypatch.setattr("sys.argv", ["simmer", *arguments])
    with pytest.raises(SystemExit) as left:
        command.main()
    return int(left.value.code or 0)


def test_models_check_tells_what_each_name_means(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", CANARY)
    result = invoke("models", "check", str(models))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "gpt-4.1 -> real on far (https://example.com/v1): 1.5 s, hard 2 s, 1 attempts",
        "* -> * on near (http://127.0.0.1:9/v1): 1770 s, hard 1800 s, 4 attempts",
    ]
    assert result.stderr == ""


def test_models_check_reads_the_settings_file(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", CANARY)
    monkeypatch.setenv("SIMMER_MODELS", str(models))
    monkeypatch.setenv("SIMMER_MAX_ATTEMPTS", "9")
    result = invoke("models", "check")
    assert result.exit_code == 0
    assert "9 attempts" in result.stdout


def test_models_check_misses_keys(models: Path) -> None:
    result = invoke("models", "check", str(models))
    assert (result.exit_code, result.stderr) == (1, "Error: Not set in this environment: FAR_KEY.\n")


WRONG = {
    "no models file named": (["models", "check"], {}, "Set SIMMER_MODELS."),
    "no such models file": (["models", "check", "none.toml"], {}, "can't be read: No such file"),
    "a folder": (["models", "check", "."], {}, "can't be read: Is a directory"),
    "a wrong setting": (["models", "check"], {"SIMMER_LEASE": CANARY}, "SIMMER_LEASE: Input should be"),
    "no database": (["migrate"], {}, "Set SIMMER_DATABASE_URL."),
    "no database for keys": (["keys", "list"], {}, "Set SIMMER_DATABASE_URL."),
    "a wrong database": (["keys", "list"], {"SIMMER_DATABASE_URL": f"mysql://u:{CANARY}@h"}, "must look like"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_goes_to_stderr_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    arguments, environment, said = WRONG[kind]
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(monkeypatch, *arguments) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err
    assert CANARY not in shown.err


def test_an_error_that_is_no_service_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("app.settings.load_settings", broken)
    assert isinstance(invoke("keys", "list").exception, RuntimeError)
    monkeypatch.setattr("sys.argv", ["simmer", "keys", "list"])
    with pytest.raises(RuntimeError, match="a defect"):
        command.main()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "create"], "Missing option '--name'"),
        (
            ["keys", "create", "--name", "x", "--scope", "root"],
            "'responses:read', 'responses:write', 'webhooks', 'admin'",
        ),
        (["keys", "create", "--name", "x", "--days", "0"], "0 is not in the range"),
        (["keys", "create", "--name", "x", "--days", "-1"], "-1 is not in the range"),
        (["keys", "create", "--name", "x", "--days", "inf"], "not a valid integer"),
        (["keys", "rotate", "none"], "'none' is not a valid UUID"),
        (
            ["keys", "rotate", KEY_ID, "--overlap-hours", "-1"],
            "-1 is not in the range",
        ),
        (["keys", "rotate", KEY_ID, "--overlap-hours", "9000"], "is not in the range"),
        (["keys", "revoke"], "Missing argument 'KEY_ID'"),
        (["keys", "create", "--name", "x", "--create-rate", CANARY], "must be COUNT/PERIOD such as 6000/minute"),
        (["keys", "create", "--name", "x", "--max-queued", "2147483648"], "is not in the range"),
        (["keys", "limit", KEY_ID, "--poll-rate", f"5/{CANARY}"], "must be COUNT/PERIOD such as 6000/minute"),
        (["keys", "limit", KEY_ID, "--max-active", "0"], "0 is not in the range"),
        (["keys", "limit", "--default"], "Missing argument 'KEY_ID'"),
        (["migrate", "--timeout", "soon"], "'soon' is not a valid float"),
        (["nothing"], "No such command 'nothing'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.startswith("Usage: ")
    assert CANARY not in result.stderr


def test_settings_are_listed_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise ConfigurationError("wrong")

    monkeypatch.setattr("app.settings.load_settings", refused)
    monkeypatch.setenv("SIMMER_DATABASE_URL", CANARY)
    result = invoke("settings")
    assert result.exit_code == 0
    assert "| `SIMMER_LEASE` | `60` |" in result.stdout
    assert "| `SIMMER_DATABASE_URL` |  |" in result.stdout
    assert CANARY not in result.stdout


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, child in loaded(group).items():
        found += commands(child, (*path, name)) if isinstance(child, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("path", commands(command.cli), ids=" ".join)
def test_every_command_and_option_says_what_it_does(path: tuple[str, ...]) -> None:
    found: click.Command = command.cli
    for name in path:
        assert isinstance(found, click.Group)
        found = loaded(found)[name]
    assert found.help
    assert [option.name for option in found.params if isinstance(option, click.Option) and not option.help] == []
    for flag in ("-h", "--help"):
        assert invoke(*path, flag).stdout.startswith(f"Usage: cli {' '.join(path)} ")


def test_the_version_is_the_packages() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("simmer, version ")
