"""What Prometheus asks; nothing secret told. Who may ask is for the proxy to say, or for SIMMER_METRICS_TOKEN."""

from hmac import compare_digest

from flask import Blueprint, Response, request

from app.adapters.metrics import CONTENT_TYPE, ApiMetrics
from app.api.backpressure import Gate
from app.api.context import container, metrics
from app.api.operation import Answer, operation
from app.container import Container
from app.domain.errors import InvalidKeyError

blueprint = Blueprint("metrics", __name__)


def register(counted: ApiMetrics, services: Container, gate: Gate) -> None:
    """Have the gauges read from where each stands."""
    counted.gauges |= {
        "requests_in_work": lambda: gate.taken,
        "database_connections_in_use": lambda: services.database.in_use,
        "database_connections": lambda: services.settings.database_pool,
        "rate_limiter_local": lambda: services.limiter.alone,
    }


@blueprint.get("/metrics")
@operation(
    answers={200: Answer("The figures.", media_type="text/plain")},
    errors=("invalid_api_key",),
)
def show() -> Response:
    """Get this service's figures in Prometheus' text format.

    They are those of all API processes of one gunicorn. With `SIMMER_METRICS_TOKEN` set, send it as the key.
    """
    token = container().settings.metrics_token
    if token and not compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        raise InvalidKeyError("Send the token of SIMMER_METRICS_TOKEN as `Authorization: Bearer TOKEN`.")
    return Response(metrics().render(), content_type=CONTENT_TYPE)
