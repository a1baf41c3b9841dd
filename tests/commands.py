"""The commands of `simmer` as they are once they are loaded."""

import click

from app.commands.lazy import Later


def loaded(group: click.Group) -> dict[str, click.Command]:
    """The group's commands, and not what stands for them in a list."""
    return {name: found.load() if isinstance(found, Later) else found for name, found in group.commands.items()}
