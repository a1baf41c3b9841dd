"""`simmer migrate`: bring the database schema to what this release needs."""

import click

from app.commands.access import as_json, container
from app.commands.terminal import show_json
from app.db.migrate import upgrade


@click.command()
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the database to answer.")
@as_json
def migrate(timeout: float, as_json: bool) -> None:
    """Create or upgrade the database schema. Harmless when there is nothing to do."""
    upgrade(container().database, timeout=timeout)
    if as_json:
        show_json({"up_to_date": True})
    else:
        click.echo("The database is up to date.")
