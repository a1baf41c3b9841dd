"""`simmer keys`: who may use the API, and how much."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from app.commands.access import as_json, container
from app.commands.terminal import show_json, visible
from app.domain.rates import Overrides, Rate, parse_rate
from app.domain.scopes import DEFAULT_SCOPES, SCOPES

if TYPE_CHECKING:
    from app.db.keys import KeyRecord

MAX_CAP = 2**31 - 1
"""The largest number that the database holds as a key's cap."""
_key = click.argument("key_id", type=click.UUID)


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


@click.group()
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
    record, key = container().keys.create(name, scopes or DEFAULT_SCOPES, lifetime, Overrides(**limits))
    _show_new_key(record, key, as_json)


@keys.command("limit")
@_key
@own_limits
@click.option("--default", "defaults", is_flag=True, help="Set all other limits back to those of the settings.")
@as_json
def limit_key(key_id: UUID, defaults: bool, as_json: bool, **limits: Any) -> None:
    """Change what a key may do, everywhere within a few seconds."""
    record = container().keys.limit(key_id, Overrides(**limits), keep=not defaults)
    if as_json:
        show_json(_described(record), indent=None)
    else:
        click.echo(f"{visible(record.name)}  {record.id}  {_limits(record)}")


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List all API keys, revoked ones too; never the secrets."""
    records = container().keys.every()
    if as_json:
        show_json([_described(record) for record in records])
        return
    row = "{:<36}  {:<20}  {:<10}  {:<16}  {:<32}  {}"
    click.echo(row.format("ID", "NAME", "STATE", "LAST USED (UTC)", "SCOPES", "LIMITS OF ITS OWN"))
    for record in records:
        last_used, scopes = _minute(record.last_used_at), " ".join(record.scopes)
        click.echo(row.format(str(record.id), visible(record.name), record.state, last_used, scopes, _limits(record)))


@keys.command("rotate")
@_key
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
    record, key = container().keys.rotate(key_id, overlap=overlap_hours * 3600)
    _show_new_key(record, key, as_json)


@keys.command("revoke")
@_key
@as_json
def revoke_key(key_id: UUID, as_json: bool) -> None:
    """End a key for good, everywhere within a few seconds."""
    container().keys.revoke(key_id)
    if as_json:
        show_json({"id": str(key_id), "revoked": True}, indent=None)
    else:
        click.echo("Revoked.")


def _show_new_key(record: "KeyRecord", key: str, as_json: bool) -> None:
    if as_json:
        show_json(_described(record) | {"key": key}, indent=None)
    else:
        click.echo(f"{visible(record.name)}  {record.id}\n\n    {key}\n\nKeep it now: it can't be shown again.")


def _described(record: "KeyRecord") -> dict[str, Any]:
    shown: dict[str, Any] = {"id": str(record.id), "name": record.name, "state": record.state, "scopes": record.scopes}
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return shown | {name: getattr(record, name) for name in times} | {"limits": record.overrides.values()}


def _limits(record: "KeyRecord") -> str:
    own = [f"{name} {value}" for name, value in record.overrides.values().items() if value is not None]
    return ", ".join(own) or "-"


def _minute(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at else "-"
