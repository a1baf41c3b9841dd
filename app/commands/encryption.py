"""`simmer encryption`: the keys that what is stored is encrypted with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from app.commands.access import as_json, container
from app.commands.terminal import show_json
from app.domain.encryption import new_key, parse_keys

if TYPE_CHECKING:
    from app.services.encryption import KeyUse


@click.group()
def encryption() -> None:
    """Make, count and rotate encryption keys.

    Stored jobs and webhook secrets are encrypted with them.
    """


@encryption.command("new-key")
@as_json
def new_encryption_key(as_json: bool) -> None:
    """Print a new key as an entry of SIMMER_ENCRYPTION_KEYS. It is kept nowhere."""
    entry = new_key()
    if as_json:
        show_json({"key": parse_keys(entry).current, "entry": entry})
    else:
        click.echo(entry)


@encryption.command("status")
@as_json
def show_encryption(as_json: bool) -> None:
    """Show how many stored jobs and webhook secrets need which key. One that none needs may be dropped."""
    _show_uses(container().encryption.status(), as_json)


@encryption.command("rotate")
@as_json
def rotate_encryption(as_json: bool) -> None:
    """Encrypt all stored jobs and webhook secrets anew.

    With the first key of SIMMER_ENCRYPTION_KEYS; if the first is `off` they are decrypted.

    Harmless beside running processes, and when it is run again. Exit code 1 if some are left.
    """
    from app.services.encryption import KeyState  # noqa: PLC0415 - a shell completes this group's names without it

    parts = container()
    click.echo(f"Rewritten: {parts.encryption.rotate()}", err=as_json)
    uses = parts.encryption.status()
    _show_uses(uses, as_json)
    wanted = KeyState.CURRENT if parts.sealer.current else KeyState.NO_KEY
    if any(use.jobs or use.secrets for use in uses if use.state is not wanted):
        raise click.ClickException("Some are left: run it again, and give it all keys that they need.")


def _show_uses(uses: Sequence["KeyUse"], as_json: bool) -> None:
    if as_json:
        show_json(
            [{"key": use.key_id, "state": use.state.value, "jobs": use.jobs, "secrets": use.secrets} for use in uses]
        )
        return
    row = "{:<32}  {:<13}  {:<8}  {}"
    click.echo(row.format("KEY", "STATE", "JOBS", "WEBHOOK SECRETS"))
    for use in uses:
        click.echo(row.format(use.key_id or "-", use.state, use.jobs, use.secrets))
