"""What load balancers and orchestrators ask; no key needed, and nothing secret told."""

from flask import Blueprint, Response, jsonify

from app.api.context import container

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Whether this process answers at all."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Whether it can serve: 200, or 503 with the part that is not `ok`.

    Without the broker it can: what it accepts stays in the database until the broker is back. That is `degraded`.
    """
    parts = container().health.check()
    broken = [name for name, state in parts.items() if state != "ok"]
    status = "ok" if not broken else "degraded" if broken == ["broker"] else "unavailable"
    response = jsonify({"status": status, **parts})
    response.status_code = 503 if status == "unavailable" else 200
    return response
