"""Commands that need no server, and the page that tells of all of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.cli import cli
from app.commands.completion import SHELLS
from app.commands.doctor import CHECKS
from app.settings import Settings
from tests.commands import loaded

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
MODELS = """
[upstreams.far]
base_url = "https://example.com/v1"
api_key_env = "FAR_KEY"
[models."a\\u001bb"]
upstream = "far"
time_limit = 2
"""


@pytest.fixture(autouse=True)
def _no_settings_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [f"SIMMER_{field.upper()}" for field in Settings.model_fields] + ["FAR_KEY"]:
        monkeypatch.delenv(name, raising=False)


def names(group: click.Group, before: str = "simmer") -> set[str]:
    found: set[str] = set()
    for name, child in loaded(group).items():
        path = f"{before} {name}"
        found |= names(child, path) if isinstance(child, click.Group) else {path}
    return found


def test_the_page_tells_of_every_command_and_of_no_other() -> None:
    table = DOCS.read_text(encoding="utf-8").split("\n## ", maxsplit=1)[0]
    assert set(re.findall(r"^\| `(simmer [^`]+)`", table, re.MULTILINE)) == names(cli)


def test_the_page_tells_of_every_check() -> None:
    table = DOCS.read_text(encoding="utf-8").split("## `simmer doctor`")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert told == [check.__name__.removeprefix("check_") for check in CHECKS]


def test_the_page_tells_which_commands_have_nothing_for_programs() -> None:
    told = re.search("All commands have it but (.*?)\\.", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert told
    assert set(re.findall("`([^`]+)`", told[1])) == {" ".join(path[1:]) for path in without_json(cli)}


def without_json(found: click.Command, *path: str) -> set[tuple[str, ...]]:
    path = (*path, str(found.name))
    if isinstance(found, click.Group):
        return {each for child in loaded(found).values() for each in without_json(child, *path)}
    return set() if any("--json" in option.opts for option in found.params) else {path}


def test_models_check_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    told = CliRunner().invoke(cli, ["models", "check", "--json", str(path)])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["missing_keys"] == ["FAR_KEY"]
    (model,) = json.loads(told.stdout)["models"]
    assert (model["name"], model["model"], model["time_limit"]) == ("a\x1bb", "a\x1bb", 2)
    monkeypatch.setenv("FAR_KEY", "x")
    told = CliRunner().invoke(cli, ["models", "check", str(path)])
    assert told.exit_code == 0
    assert told.stdout.startswith("a\\x1bb -> a\\x1bb on far")


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_a_script_of_the_shell(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell], prog_name="simmer").stdout
    assert f"_SIMMER_COMPLETE={shell}_complete" in script


def test_completion_completes() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("simmer")],
        env={"_SIMMER_COMPLETE": "bash_complete", "COMP_WORDS": "simmer jobs re", "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "plain,requeue\n"


def test_bash_takes_the_script() -> None:
    script = CliRunner().invoke(cli, ["completion", "bash"], prog_name="simmer").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, timeout=30, check=True)


def test_nobody_loads_rich_who_prints_nothing() -> None:
    program = (
        "import sys, app.cli, app.factory; sys.argv = ['x'];"
        "print(sorted(name for name in sys.modules if name == 'rich' or name.startswith('rich.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "x", "--metadata", "nothing"], "It must be NAME=VALUE"),
        (["submit", "x", "--timeout", "0"], "not in the range"),
        (["submit", "x", "--tier", "urgent"], "'priority', 'default', 'flex'"),
        (["submit"], "Missing argument 'PROMPT'"),
        (["jobs", "cancel"], "Missing argument 'ID...'"),
        (["jobs", "list", "--limit", "0"], "not in the range"),
        (["jobs", "list", "--status", "done"], "'completed'"),
        (["queue", "--interval", "0"], "not in the range"),
        (["completion", "csh"], "'bash', 'zsh', 'fish'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
