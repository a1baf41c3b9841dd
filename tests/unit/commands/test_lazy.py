"""What stands for the commands tells the truth about them, and spares a shell their modules."""

import pytest
from click import Command, Context, Group

from app.cli import COMMANDS, cli
from app.commands.lazy import Later
from tests.commands import loaded as commands
from tests.loading import loaded_by

ANY_WIDTH = 1000


@pytest.mark.parametrize("later", COMMANDS, ids=lambda later: later.name)
def test_the_list_says_of_a_command_what_the_command_says_of_itself(later: Later) -> None:
    command = later.load()
    assert isinstance(command, Command)
    assert later.name == command.name
    assert later.get_short_help_str(ANY_WIDTH) == command.get_short_help_str(ANY_WIDTH)
    assert later.hidden == command.hidden


def test_the_list_has_every_command() -> None:
    assert set(commands(cli)) == {later.name for later in COMMANDS}


def test_a_terminal_of_80_columns_has_room_for_what_each_command_does() -> None:
    groups = {"": cli} | {name: one for name, one in commands(cli).items() if isinstance(one, Group)}
    assert len(groups) > 4
    for name, group in groups.items():
        context = Context(group, info_name=name, terminal_width=80)
        listed = group.get_help(context).partition("Commands:")[2].split("\n")[1:]
        assert len(listed) == len(group.commands)
        assert all(line.endswith(".") and not line.endswith("...") for line in listed), listed


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["jobs", "list", "--help"], ["nothing"]])
def test_help_waits_for_no_library(arguments: list[str]) -> None:
    assert loaded_by(*arguments) == set()


@pytest.mark.parametrize("words", ["simmer ", "simmer jobs ", "simmer keys ", "simmer webhooks ", "simmer encryption "])
def test_completion_waits_for_no_library(words: str) -> None:
    asked = {"_SIMMER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert loaded_by(env=asked) == set()


def test_the_list_of_settings_waits_for_nothing_but_their_types() -> None:
    assert loaded_by("settings") == {"pydantic"}


def test_a_client_of_the_api_needs_no_part_of_the_server() -> None:
    env = {"SIMMER_API_URL": "http://127.0.0.1:9", "SIMMER_API_KEY": "sk-simmer-x"}
    used = loaded_by("submit", "x", "--model", "m", env=env)
    assert {"httpx2"} <= used <= {"pydantic", "httpx2", "httpcore2"}
