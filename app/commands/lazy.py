"""A group whose commands are loaded when they are called: `simmer --help` and a shell's TAB wait for none of them."""

from importlib import import_module

import click


class Later(click.Command):
    """Stands for a command in a list, with the first sentence of its help, until it is called."""

    def __init__(self, name: str, module: str, sentence: str) -> None:
        """The command is the attribute `name` of `module`."""
        super().__init__(name, help=sentence)
        self.module = module

    def load(self) -> click.Command:
        """The command itself."""
        command: click.Command = getattr(import_module(self.module), str(self.name))
        return command


class LazyGroup(click.Group):
    """Its help and its names' completion show what stands for the commands; whoever calls one gets the command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest
