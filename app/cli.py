"""The `simmer` command: set up a database, issue API keys, check a models file, run everything on one machine."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import click

from app.commands.completion import completion
from app.commands.doctor import doctor
from app.commands.exporter import exporter
from app.commands.jobs import jobs
from app.commands.models import models
from app.commands.purge import purge
from app.commands.queue import queue
from app.commands.submit import submit
from app.commands.webhooks import webhooks
from app.container import Container
from app.db.keys import KeyRecord
from app.db.migrate import upgrade
from app.domain.encryption import new_key
from app.domain.errors import ServiceError
from app.domain.rates import Overrides, Rate, parse_rate
from app.services.encryption import KeyState, KeyUse
from app.services.keys import DEFAULT_SCOPES, SCOPES
from app.settings import Settings, load_settings
from app.stack.commands import HELP, demo, destroy, up
from app.stack.runfile import with_running_stack

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
MAX_CAP = 2**31 - 1
"""The largest number that the database holds as a key's cap."""


def _rate(text: str) -> Rate:
    try:
        return parse_rate(text)
    except ValueError as error:
        raise click.BadParameter(f"It {error}.") from None


def own_limits(command: Callable[..., None]) -> Callable[..., None]:
    """Options for what one key may do, named as in Overrides."""
    rate = partial(click.option, type=_rate, metavar="COUNT/PERIOD")
    cap = partial(click.option, type=click.IntRange(1, MAX_CAP))
    options = (
        rate("--create-rate", help="How many responses it may create: `6000/minute`, `100/10 seconds`."),
        rate("--poll-rate", help="How many other requests it may send."),
        cap("--max-active", help="Jobs it may have queued or in progress at once."),
        cap("--max-queued", help="Jobs it may have queued at once."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings=HELP)
@click.version_option(package_name="simmer", prog_name="simmer")
def cli() -> None:
    """Simmer: background mode for any model API."""


for _command in (up, demo, destroy, jobs, submit, queue, doctor, purge, models, webhooks, exporter, completion):
    cli.add_command(_command)


@cli.command()
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the database to answer.")
def migrate(timeout: float) -> None:
    """Create or upgrade the database schema. Harmless when there is nothing to do."""
    upgrade(_container().database, timeout=timeout)
    click.echo("The database is up to date.")


@cli.group()
def keys() -> None:
    """Issue, limit, list, rotate and revoke API keys."""


@keys.command("create")
@click.option("--name", required=True, help="Whose key it is, for people.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Once for each scope.")
@click.option("--days", type=click.IntRange(1, 36_500), help="Days until it expires; never if left out.")
@own_limits
@as_json
def create_key(name: str, scopes: Sequence[str], days: int | None, as_json: bool, **limits: Any) -> None:
    """Create an API key and show it, this once. Limits that are left out are those of the settings."""
    lifetime = None if days is None else days * 86_400
    record, key = _container().keys.create(name, scopes or DEFAULT_SCOPES, lifetime, Overrides(**limits))
    _show_new_key(record, key, as_json)


@keys.command("limit")
@click.argument("key_id", type=click.UUID)
@own_limits
@click.option("--default", "defaults", is_flag=True, help="Set all other limits back to those of the settings.")
@as_json
def limit_key(key_id: UUID, defaults: bool, as_json: bool, **limits: Any) -> None:
    """Change what a key may do, everywhere within a few seconds."""
    record = _container().keys.limit(key_id, Overrides(**limits), keep=not defaults)
    click.echo(json.dumps(_key_json(record)) if as_json else f"{record.name}  {record.id}  {_limits(record)}")


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List all API keys, revoked ones too; never the secrets."""
    records = _container().keys.every()
    if as_json:
        click.echo(json.dumps([_key_json(record) for record in records], indent=2))
        return
    row = "{:<36}  {:<20}  {:<10}  {:<16}  {:<32}  {}"
    click.echo(row.format("ID", "NAME", "STATE", "LAST USED (UTC)", "SCOPES", "LIMITS OF ITS OWN"))
    for record in records:
        last_used, scopes = _minute(record.last_used_at), " ".join(record.scopes)
        click.echo(row.format(str(record.id), record.name, record.state, last_used, scopes, _limits(record)))


@keys.command("rotate")
@click.argument("key_id", type=click.UUID)
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 8760),
    default=24,
    show_default=True,
    help="How long the old secret stays good.",
)
@as_json
def rotate_key(key_id: UUID, overlap_hours: int, as_json: bool) -> None:
    """Give a key a new secret; its jobs stay its own."""
    record, key = _container().keys.rotate(key_id, overlap=overlap_hours * 3600)
    _show_new_key(record, key, as_json)


@keys.command("revoke")
@click.argument("key_id", type=click.UUID)
def revoke_key(key_id: UUID) -> None:
    """End a key for good, everywhere within a few seconds."""
    _container().keys.revoke(key_id)
    click.echo("Revoked.")


@cli.group()
def encryption() -> None:
    """Make, count and rotate the keys that stored jobs and webhook secrets are encrypted with."""


@encryption.command("new-key")
def new_encryption_key() -> None:
    """Print a new key as an entry of SIMMER_ENCRYPTION_KEYS. It is kept nowhere."""
    click.echo(new_key())


@encryption.command("status")
@as_json
def show_encryption(as_json: bool) -> None:
    """Show how many stored jobs and webhook secrets need which key. One that none needs may be dropped."""
    _show_uses(_container().encryption.status(), as_json)


@encryption.command("rotate")
@as_json
def rotate_encryption(as_json: bool) -> None:
    """Encrypt all stored jobs and webhook secrets with the first key of SIMMER_ENCRYPTION_KEYS; decrypt them if the
    first is `off`.

    Harmless beside running processes, and when it is run again. Exit code 1 if some are left.
    """
    container = _container()
    click.echo(f"Rewritten: {container.encryption.rotate()}", err=as_json)
    uses = container.encryption.status()
    _show_uses(uses, as_json)
    wanted = KeyState.CURRENT if container.sealer.current else KeyState.NO_KEY
    if any(use.jobs or use.secrets for use in uses if use.state is not wanted):
        raise click.ClickException("Some are left: run it again, and give it all keys that they need.")


@cli.command("settings")
def show_settings() -> None:
    """List every setting with its default, as a Markdown table."""
    click.echo("| Setting | Default | Meaning |\n| --- | --- | --- |")
    for name, setting in Settings.model_fields.items():
        default = "" if setting.default in (None, "") else f"`{_plain(setting.default)}`"
        click.echo(f"| `SIMMER_{name.upper()}` | {default} | {setting.description} |")


def main() -> None:
    """Entry point: what is wrong goes to stderr in one line, with exit code 1."""
    try:
        cli(prog_name="simmer")
    except ServiceError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)


def _container() -> Container:
    """For the database that the settings name; if they name none, for that of the `simmer up` running in the home."""
    settings = load_settings()
    return Container(settings if settings.database_url else with_running_stack(settings))


def _show_new_key(record: KeyRecord, key: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**_key_json(record), "key": key}))
        return
    click.echo(f"{record.name}  {record.id}\n\n    {key}\n\nKeep it now: it can't be shown again.")


def _show_uses(uses: Sequence[KeyUse], as_json: bool) -> None:
    if as_json:
        shown = [
            {"key": use.key_id, "state": use.state.value, "jobs": use.jobs, "secrets": use.secrets} for use in uses
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    row = "{:<32}  {:<13}  {:<8}  {}"
    click.echo(row.format("KEY", "STATE", "JOBS", "WEBHOOK SECRETS"))
    for use in uses:
        click.echo(row.format(use.key_id or "-", use.state, use.jobs, use.secrets))


def _key_json(record: KeyRecord) -> dict[str, Any]:
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    shown: dict[str, Any] = {"id": str(record.id), "name": record.name, "state": record.state, "scopes": record.scopes}
    return shown | {name: _iso(getattr(record, name)) for name in times} | {"limits": record.overrides.values()}


def _limits(record: KeyRecord) -> str:
    own = [f"{name} {value}" for name, value in record.overrides.values().items() if value is not None]
    return ", ".join(own) or "-"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _minute(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at else "-"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
