"""`simmer webhooks`: what owners of webhook endpoints can do, for those who run Simmer."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from app.commands.access import as_json, container
from app.commands.terminal import Cell, Column, Grid, moment, note, show, show_json
from app.commands.webhook_parameters import Moment, PrefixedId
from app.domain.ids import ENDPOINT, EVENT, prefixed
from app.domain.webhooks import SUBSCRIBABLE, Delivery, DeliveryStatus, Endpoint, SigningSecret

if TYPE_CHECKING:
    from app.services.webhooks import WebhookService

PAGE = 100
DAY = 86_400


_endpoint = click.argument("endpoint_id", metavar="ENDPOINT", type=PrefixedId(ENDPOINT))
_key = click.option("--key", "key_id", type=click.UUID, required=True, help="The id of the API key.")
_overlap = click.option(
    "--overlap",
    type=click.IntRange(0, 7 * DAY),
    default=DAY,
    show_default=True,
    help="Seconds for which the secret before signs as well.",
)
_ENDPOINTS = (
    Column("ID"),
    Column("STATE"),
    Column("URL"),
    Column("SOURCE", 2),
    Column("EVENTS", 3),
    Column("CREATED", 1),
)
_DELIVERIES = (
    Column("EVENT"),
    Column("STATUS"),
    Column("TYPE", 1),
    Column("ABOUT", 3),
    Column("TRY", right=True),
    Column("NEXT TRY", 2),
    Column("FAILURE"),
)


def _events(command: Callable[..., None]) -> Callable[..., None]:
    names = [kind.value for kind in SUBSCRIBABLE]
    return click.option("--event", "events", multiple=True, type=click.Choice(names), help="Once for each.")(command)


@click.group()
def webhooks() -> None:
    """See and change webhook endpoints, send events again.

    Endpoints belong to API keys.
    """


@webhooks.command("list")
@_key
@as_json
def list_endpoints(key_id: UUID, as_json: bool) -> None:
    """List the webhook endpoints of an API key.

    Those too that its jobs came with.
    """
    found = _every(_service(), key_id)
    if as_json:
        show_json([_described(endpoint) for endpoint in found])
        return
    rows = [
        [prefixed(ENDPOINT, one.id), _state(one), one.url, one.source, " ".join(one.events), moment(one.created_at)]
        for one in found
    ]
    show(_grid(_ENDPOINTS, rows))


@webhooks.command("create")
@_key
@click.option("--url", required=True, help="An https:// address that anybody on the internet can reach.")
@_events
@click.option("--description", help="For people.")
@as_json
def create_endpoint(key_id: UUID, url: str, events: Sequence[str], description: str | None, as_json: bool) -> None:
    """Create a webhook endpoint for an API key.

    Its secret is shown this once. Without --event it is told all.
    """
    endpoint, secret = _service().create(key_id, url, events or None, description)
    if as_json:
        show_json(_described(endpoint) | {"secret": secret.secret})
        return
    show(f"{prefixed(ENDPOINT, endpoint.id)}  {endpoint.url}\n\n    {secret.secret}\n")
    note("Keep it now: it can't be shown again.")


@webhooks.command("show")
@_endpoint
@as_json
def show_endpoint(endpoint_id: UUID, as_json: bool) -> None:
    """Show a webhook endpoint; never its secret."""
    service = _service()
    _show_endpoint(service.get(service.owner_of(endpoint_id), endpoint_id), as_json)


@webhooks.command("update")
@_endpoint
@click.option("--url", help="Another address.")
@_events
@click.option("--description", help="Another description; none if it is empty.")
@click.option("--enable/--disable", "enabled", default=None, help="Tell it again, or nothing any more.")
@as_json
def update_endpoint(endpoint_id: UUID, as_json: bool, enabled: bool | None, **given: Any) -> None:
    """Change a webhook endpoint. What is left out stays as it is."""
    values = {name: value or None for name, value in given.items() if value not in (None, ())}
    if not values and enabled is None:
        raise click.UsageError("Name something to change.")
    service = _service()
    _show_endpoint(service.update(service.owner_of(endpoint_id), endpoint_id, values, enabled=enabled), as_json)


@webhooks.command("delete")
@_endpoint
@as_json
def delete_endpoint(endpoint_id: UUID, as_json: bool) -> None:
    """Delete a webhook endpoint, and all its deliveries."""
    service = _service()
    service.delete(service.owner_of(endpoint_id), endpoint_id)
    if as_json:
        show_json({"id": prefixed(ENDPOINT, endpoint_id), "deleted": True})
    else:
        show("Deleted.")


@webhooks.command("rotate-secret")
@click.argument("endpoint_id", metavar="[ENDPOINT]", type=PrefixedId(ENDPOINT), required=False)
@click.option("--key", "key_id", type=click.UUID, help="Instead: the secret of this API key's single jobs.")
@_overlap
@as_json
def rotate_secret(endpoint_id: UUID | None, key_id: UUID | None, overlap: int, as_json: bool) -> None:
    """Give a webhook endpoint a new secret, and show it.

    Or an API key one for the webhooks of its single jobs.
    """
    service = _service()
    if (endpoint_id is None) is (key_id is None):
        raise click.UsageError("Name an endpoint, or --key.")
    if key_id:
        _show_secret(service.rotate_key_secret(key_id, overlap=overlap), as_json)
    else:
        owner = service.owner_of(endpoint_id)
        _show_secret(service.rotate_secret(owner, endpoint_id, overlap=overlap), as_json)


@webhooks.command("secret")
@_key
@as_json
def show_secret(key_id: UUID, as_json: bool) -> None:
    """Show the secret for webhooks of an API key's single jobs."""
    _show_secret(_service().key_secret(key_id), as_json)


@webhooks.command("test")
@_endpoint
@as_json
def test_endpoint(endpoint_id: UUID, as_json: bool) -> None:
    """Send a webhook endpoint a test event."""
    service = _service()
    _show_sent(service.test(service.owner_of(endpoint_id), endpoint_id), as_json)


@webhooks.command("deliveries")
@_endpoint
@click.option("--status", type=click.Choice([status.value for status in DeliveryStatus]), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--after", type=PrefixedId(EVENT), help="Only older ones: the last event of the page before.")
@as_json
def list_deliveries(endpoint_id: UUID, status: str | None, limit: int, after: UUID | None, as_json: bool) -> None:
    """List what was sent to a webhook endpoint, or is to be.

    Newest first.
    """
    from app.services.webhooks import DeliveryFilter  # noqa: PLC0415 - a shell completes this group's names without it

    service = _service()
    wanted = DeliveryFilter(limit, after, DeliveryStatus(status) if status else None)
    found, has_more = service.deliveries(service.owner_of(endpoint_id), endpoint_id, wanted)
    if as_json:
        show_json([_delivery(delivery) for delivery in found])
        return
    show(_grid(_DELIVERIES, [_delivery_row(delivery) for delivery in found]))
    if has_more:
        note(f"There are more: --after {prefixed(EVENT, found[-1].event_id)}")


@webhooks.command("replay")
@_endpoint
@click.argument("event_id", metavar="[EVENT]", type=PrefixedId(EVENT), required=False)
@click.option("--since", type=Moment(), help="Instead of one event: all that were given up since then.")
@as_json
def replay(endpoint_id: UUID, event_id: UUID | None, since: datetime | None, as_json: bool) -> None:
    """Send once more what was delivered or given up.

    One event, or all that were given up since a time.
    """
    if (event_id is None) is (since is None):
        raise click.UsageError("Name an event, or --since.")
    service = _service()
    owner = service.owner_of(endpoint_id)
    if since is None:
        _show_sent(service.replay(owner, endpoint_id, event_id), as_json)
        return
    replayed = service.replay_failed(owner, endpoint_id, since=since)
    if as_json:
        show_json({"replayed": replayed.count, "has_more": replayed.has_more})
        return
    show(f"Sent once more: {replayed.count}")
    if replayed.has_more:
        note("There may be others: run it again.")


def _service() -> "WebhookService":
    return container().webhooks


def _every(service: "WebhookService", key_id: UUID) -> list[Endpoint]:
    from app.services.webhooks import EndpointFilter  # noqa: PLC0415

    found, has_more = service.page(key_id, EndpointFilter(PAGE))
    while has_more:
        more, has_more = service.page(key_id, EndpointFilter(PAGE, after=found[-1].id))
        found += more
    return found


def _show_endpoint(endpoint: Endpoint, as_json: bool) -> None:
    described = _described(endpoint)
    if as_json:
        show_json(described)
        return
    rows = [[name, _text(value)] for name, value in described.items() if name != "id"]
    show(_grid((Column("ENDPOINT"), Column(described["id"])), rows))


def _show_secret(secret: SigningSecret, as_json: bool) -> None:
    if as_json:
        show_json({"secret": secret.secret, "previous_expires_at": secret.previous_expires_at})
        return
    show(secret.secret)
    if secret.previous_expires_at:
        note(f"The one before signs as well until {moment(secret.previous_expires_at)}.")


def _show_sent(delivery: Delivery, as_json: bool) -> None:
    if as_json:
        show_json(_delivery(delivery))
    else:
        show(f"{prefixed(EVENT, delivery.event_id)} is on its way.")


def _described(endpoint: Endpoint) -> dict[str, Any]:
    names = ("source", "url", "events", "description", "created_at", "failing_since", "disabled_at", "disabled_reason")
    ids = {"id": prefixed(ENDPOINT, endpoint.id), "key": str(endpoint.api_key_id), "state": _state(endpoint)}
    return ids | {name: getattr(endpoint, name) for name in names}


def _delivery(delivery: Delivery) -> dict[str, Any]:
    names = ("type", "data_id", "status", "attempt", "created_at", "next_attempt_at", "ended_at", "failure")
    return {"event": prefixed(EVENT, delivery.event_id)} | {name: getattr(delivery, name) for name in names}


def _delivery_row(delivery: Delivery) -> list[str]:
    about, next_try = delivery.data_id, moment(delivery.next_attempt_at)
    tries, failure = str(delivery.attempt), delivery.failure or "-"
    return [prefixed(EVENT, delivery.event_id), delivery.status, delivery.type, about, tries, next_try, failure]


def _state(endpoint: Endpoint) -> str:
    if endpoint.disabled_reason:
        return endpoint.disabled_reason.value
    return "failing now" if endpoint.failing_since else "enabled"


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return moment(value) if isinstance(value, datetime) else "-" if value is None else str(value)


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Grid:
    return Grid(columns, [[Cell(text) for text in row] for row in rows])
