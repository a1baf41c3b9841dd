"""Webhook endpoints and their deliveries as tests want them, and what a refusal says."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db.engine import Database
from app.db.recording import DELIVERIES, ENDPOINTS
from app.domain.errors import ServiceError
from app.domain.ids import new_id
from app.domain.webhooks import Endpoint
from tests import rows

URL = "https://hooks.example.com/simmer"


def change(database: Database, endpoint: Endpoint, **columns: Any) -> None:
    with database.transaction() as connection:
        connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.id == endpoint.id).values(columns))


def deliver(database: Database, endpoint_id: UUID, status: str = "failed", **more: Any) -> UUID:
    """A delivery that has ended."""
    columns: dict[str, Any] = {
        "status": status,
        "ended_at": rows.NOW,
        "expires_at": rows.LATER,
        "give_up_at": rows.LATER,
    }
    columns |= {
        "failure": "attempts_exhausted" if status == "failed" else None,
        "failures": 7,
        "status": status,
        **more,
    }
    event_id = new_id()
    with database.transaction() as connection:
        values = {"endpoint_id": endpoint_id, "event_id": event_id, "type": "response.failed", "data_id": "resp_1"}
        connection.execute(DELIVERIES.insert().values({**values, **columns}))
    return event_id


def code(caught: pytest.ExceptionInfo[ServiceError]) -> tuple[str, str | None]:
    return caught.value.error_code, caught.value.param
