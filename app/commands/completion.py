"""`simmer completion`: what a shell has to know to complete commands and options."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For example: eval "$(simmer completion bash)".
    """
    found = get_completion_class(shell)
    assert found, "click knows these shells"
    click.echo(found(context.find_root().command, {}, "simmer", "_SIMMER_COMPLETE").source())
