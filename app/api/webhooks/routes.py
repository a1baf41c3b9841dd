"""The routes of webhooks."""

from flask import Blueprint, Response, jsonify

from app.api.context import caller, container
from app.api.openapi import webhook_examples as examples
from app.api.openapi.shapes import webhooks as shapes
from app.api.operation import Answer, operation
from app.api.webhooks.presenter import (
    present_deleted,
    present_delivery,
    present_endpoint,
    present_page,
    present_secret,
)
from app.api.webhooks.schemas import (
    CreateEndpoint,
    DeliveriesQuery,
    EndpointsQuery,
    ReplayFailed,
    Rotate,
    UpdateEndpoint,
)
from app.domain.ids import ENDPOINT, EVENT, parse_prefixed

blueprint = Blueprint("webhooks", __name__, url_prefix="/v1")

_URL_ERRORS = ("invalid_webhook_url", "webhook_url_not_allowed")
_READ_ONLY = ("not_found", "webhook_endpoint_read_only")
_ENDPOINT = {200: Answer("The endpoint.", shapes.WebhookEndpoint, examples=examples.SHOWN)}
_SECRET = {200: Answer("The secret.", shapes.WebhookSecret, examples=examples.SECRET)}
_DELIVERY = {200: Answer("The delivery.", shapes.WebhookDelivery, examples=examples.DELIVERY)}


@blueprint.post("/webhook_endpoints")
@operation(
    "webhooks",
    answers={200: Answer("The endpoint, and its secret.", shapes.NewWebhookEndpoint, examples=examples.CREATED)},
    errors=(*_URL_ERRORS, "too_many_webhook_endpoints"),
    examples=examples.CREATES,
)
def create(body: CreateEndpoint) -> Response:
    """Create a webhook endpoint.

    It is told of the ends of all your responses from now on. Its secret is shown this once.
    """
    endpoint, secret = container().webhooks.create(caller().api_key_id, body.url, body.events, body.description)
    return jsonify(present_endpoint(endpoint, secret))


@blueprint.get("/webhook_endpoints")
@operation("webhooks", answers={200: Answer("A page.", shapes.WebhookEndpointList, examples=examples.ENDPOINTS)})
def list_(query: EndpointsQuery) -> Response:
    """List your webhook endpoints."""
    found, has_more = container().webhooks.page(caller().api_key_id, query.to_filter())
    return jsonify(present_page([present_endpoint(endpoint) for endpoint in found], has_more=has_more))


@blueprint.get("/webhook_endpoints/<endpoint_id>")
@operation("webhooks", answers=_ENDPOINT, errors=("not_found",))
def get(endpoint_id: str) -> Response:
    """Get a webhook endpoint."""
    endpoint = container().webhooks.get(caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id))
    return jsonify(present_endpoint(endpoint))


@blueprint.post("/webhook_endpoints/<endpoint_id>")
@operation("webhooks", answers=_ENDPOINT, errors=(*_READ_ONLY, *_URL_ERRORS), examples=examples.UPDATES)
def update(endpoint_id: str, body: UpdateEndpoint) -> Response:
    """Change a webhook endpoint.

    What is left out stays as it is. With `enabled` it is disabled, or enabled again.
    """
    endpoint = container().webhooks.update(
        caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id), body.changes(), enabled=body.enabled
    )
    return jsonify(present_endpoint(endpoint))


@blueprint.delete("/webhook_endpoints/<endpoint_id>")
@operation(
    "webhooks",
    answers={200: Answer("It is gone.", shapes.DeletedWebhookEndpoint, examples=examples.DELETED)},
    errors=_READ_ONLY,
)
def delete(endpoint_id: str) -> Response:
    """Delete a webhook endpoint, and all its deliveries."""
    container().webhooks.delete(caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id))
    return jsonify(present_deleted(endpoint_id))


@blueprint.post("/webhook_endpoints/<endpoint_id>/rotate_secret")
@operation("webhooks", answers=_SECRET, errors=_READ_ONLY, examples=examples.ROTATIONS)
def rotate_secret(endpoint_id: str, body: Rotate) -> Response:
    """Rotate the secret of a webhook endpoint.

    The new one is shown this once. Until `overlap` is over deliveries have two signatures, one by each. Another
    rotation meanwhile ends the older of the two at once.
    """
    known = parse_prefixed(ENDPOINT, endpoint_id)
    secret = container().webhooks.rotate_secret(caller().api_key_id, known, overlap=body.overlap)
    return jsonify(present_secret(secret, known))


@blueprint.post("/webhook_endpoints/<endpoint_id>/test")
@operation("webhooks", answers=_DELIVERY, errors=(*_READ_ONLY, "webhook_endpoint_disabled"))
def test(endpoint_id: str) -> Response:
    """Send a webhook endpoint a test event.

    It is delivered like any other. Its type is `webhook.test`, and it is about the endpoint itself.
    """
    delivery = container().webhooks.test(caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id))
    return jsonify(present_delivery(delivery))


@blueprint.get("/webhook_endpoints/<endpoint_id>/deliveries")
@operation(
    "webhooks",
    answers={200: Answer("A page.", shapes.WebhookDeliveryList, examples=examples.DELIVERIES)},
    errors=("not_found",),
)
def deliveries(endpoint_id: str, query: DeliveriesQuery) -> Response:
    """List the deliveries to a webhook endpoint, newest first."""
    found, has_more = container().webhooks.deliveries(
        caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id), query.to_filter()
    )
    data = [present_delivery(delivery, attempts=False) for delivery in found]
    return jsonify(present_page(data, has_more=has_more))


@blueprint.get("/webhook_endpoints/<endpoint_id>/deliveries/<event_id>")
@operation("webhooks", answers=_DELIVERY, errors=("not_found",))
def delivery(endpoint_id: str, event_id: str) -> Response:
    """Get a delivery with every try there was."""
    found = container().webhooks.delivery(
        caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id), parse_prefixed(EVENT, event_id)
    )
    return jsonify(present_delivery(found))


@blueprint.post("/webhook_endpoints/<endpoint_id>/deliveries/<event_id>/replay")
@operation("webhooks", answers=_DELIVERY, errors=("not_found", "illegal_move", "webhook_endpoint_disabled"))
def replay(endpoint_id: str, event_id: str) -> Response:
    """Send an event once more that was delivered, or given up.

    It has the same id as before, and all its tries again.
    """
    found = container().webhooks.replay(
        caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id), parse_prefixed(EVENT, event_id)
    )
    return jsonify(present_delivery(found))


@blueprint.post("/webhook_endpoints/<endpoint_id>/replay")
@operation(
    "webhooks",
    answers={200: Answer("How many they are.", shapes.WebhookReplay, examples=examples.REPLAYED)},
    errors=("not_found", "webhook_endpoint_disabled"),
    examples=examples.REPLAYS,
)
def replay_failed(endpoint_id: str, body: ReplayFailed) -> Response:
    """Send all events once more that were given up since a time.

    At most 10,000 at once: `has_more` tells that there may be others.
    """
    replayed = container().webhooks.replay_failed(
        caller().api_key_id, parse_prefixed(ENDPOINT, endpoint_id), since=body.time
    )
    return jsonify({"object": "webhook_replay", "replayed": replayed.count, "has_more": replayed.has_more})


@blueprint.get("/webhook_secret")
@operation("webhooks", answers=_SECRET)
def secret() -> Response:
    """Get the secret that signs the webhooks of your single responses.

    Those that came in a create. It is your API key's alone, and made when it is first needed.
    """
    return jsonify(present_secret(container().webhooks.key_secret(caller().api_key_id)))


@blueprint.post("/webhook_secret/rotate")
@operation("webhooks", answers=_SECRET, examples=examples.ROTATIONS)
def rotate_key_secret(body: Rotate) -> Response:
    """Rotate this secret.

    Until `overlap` is over these webhooks have two signatures, one by each. Another rotation meanwhile ends the older
    of the two at once.
    """
    rotated = container().webhooks.rotate_key_secret(caller().api_key_id, overlap=body.overlap)
    return jsonify(present_secret(rotated))
