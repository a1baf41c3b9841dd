"""What load balancers and orchestrators ask; no key needed, and nothing secret told."""

from flask import Blueprint, Response, jsonify

from app.api.context import container
from app.api.openapi.shapes.answers import Health, Readiness
from app.api.operation import Answer, operation

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
@operation(answers={200: Answer("It does.", Health)})
def healthz() -> Response:
    """Ask whether the process answers at all."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
@operation(answers={200: Answer("It can.", Readiness), 503: Answer("It can't: see which part is not `ok`.", Readiness)})
def readyz() -> Response:
    """Ask whether the process can serve.

    Without the broker it can: what it accepts stays in the database until the broker is back. That is `degraded`.
    """
    parts = container().health.check()
    broken = [name for name, state in parts.items() if state != "ok"]
    status = "ok" if not broken else "degraded" if broken == ["broker"] else "unavailable"
    response = jsonify({"status": status, **parts})
    response.status_code = 503 if status == "unavailable" else 200
    return response
