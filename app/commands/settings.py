"""`simmer settings`: what can be set, never what is set."""

import click

from app.commands.access import as_json
from app.commands.terminal import show_json
from app.settings import Settings


@click.command()
@as_json
def settings(as_json: bool) -> None:
    """List every setting with its default, as a Markdown table."""
    found = [
        {
            "name": f"SIMMER_{name.upper()}",
            "default": None if setting.default in (None, "") else _plain(setting.default),
            "meaning": setting.description,
        }
        for name, setting in Settings.model_fields.items()
    ]
    if as_json:
        show_json(found)
        return
    click.echo("| Setting | Default | Meaning |\n| --- | --- | --- |")
    for line in found:
        default = f"`{line['default']}`" if line["default"] else ""
        click.echo(f"| `{line['name']}` | {default} | {line['meaning']} |")


def _plain(value: object) -> str:
    """As it would stand in the environment."""
    return f"{value:g}" if isinstance(value, float) else str(value)
