"""`simmer purge`: delete expired results now, or say what that would delete."""

from datetime import UTC, datetime

import click

from app.commands.access import as_json, container
from app.commands.terminal import show_json, span


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@as_json
def purge(dry_run: bool, as_json: bool) -> None:
    """Delete results whose retention is over.

    In small batches, beside all that runs. Beat has this done anyway.
    """
    parts = container()
    if dry_run:
        count, first = parts.vitals.expired()
        if as_json:
            show_json({"would_delete": count, "expired_since": first})
            return
        late = f", the first of them {span((datetime.now(UTC) - first).total_seconds())} ago" if first else ""
        click.echo(f"Would delete {count} results that have expired{late}.")
        return
    deleted = some = parts.maintenance.purge()
    # Whole batches and no more: it has left the rest to the next one.
    while some and some % parts.settings.purge_batch == 0:
        some = parts.maintenance.purge()
        deleted += some
    if as_json:
        show_json({"deleted": deleted})
    else:
        click.echo(f"Deleted {deleted} results that had expired.")
