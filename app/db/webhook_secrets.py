"""The secrets that sign webhooks: each endpoint's own, and a key's for the webhooks of its single jobs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.db.jobs import from_now
from app.db.sealing import sealer_of
from app.db.webhook_models import WebhookSecret
from app.domain.encryption import PREFIX
from app.domain.ids import new_id
from app.domain.ports import Sealer
from app.domain.webhooks import SigningSecret, new_secret

PLACE = "webhook_secret"
"""What a sealed secret is bound to, beside its row."""


def add(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None) -> None:
    """Give the endpoint a secret, or the key if it is None; nothing happens if there is a current one."""
    secret_id = new_id()
    secret = seal(sealer_of(connection), secret_id, new_secret())
    values = {"id": secret_id, "api_key_id": api_key_id, "endpoint_id": endpoint_id, "secret": secret}
    connection.execute(insert(WebhookSecret).values(values).on_conflict_do_nothing())


def get(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None) -> SigningSecret | None:
    """The current secret of the endpoint, or of the key. Raises SealedError."""
    current, retired = (
        select(WebhookSecret).where(_of(api_key_id, endpoint_id), condition)
        for condition in (WebhookSecret.expires_at.is_(None), WebhookSecret.expires_at > func.now())
    )
    row = connection.execute(current.with_only_columns(*WebhookSecret.__table__.c)).one_or_none()
    if row is None:
        return None
    ends_at: datetime | None = connection.scalar(retired.with_only_columns(func.max(WebhookSecret.expires_at)))
    return SigningSecret(open_(sealer_of(connection), row.id, row.secret), row.created_at, ends_at)


def retire(connection: Connection, api_key_id: UUID, endpoint_id: UUID | None, *, overlap: float) -> None:
    """Let the current secret end in `overlap` seconds, and those that were retired before at once: two sign at most."""
    own = _of(api_key_id, endpoint_id)
    connection.execute(delete(WebhookSecret).where(own, WebhookSecret.expires_at.is_not(None)))
    statement = update(WebhookSecret).where(own).values(expires_at=from_now(overlap))
    connection.execute(statement)


def seal(sealer: Sealer, secret_id: UUID, secret: str) -> str:
    """The secret as it is to be stored."""
    return sealer.seal(secret.encode(), secret_id, PLACE) if sealer.current else secret


def open_(sealer: Sealer, secret_id: UUID, stored: str) -> str:
    """The secret of a row, sealed or not. Raises SealedError."""
    return sealer.open(stored, secret_id, PLACE).decode() if stored.startswith(PREFIX) else stored


def _of(api_key_id: UUID, endpoint_id: UUID | None) -> ColumnElement[bool]:
    return and_(WebhookSecret.api_key_id == api_key_id, WebhookSecret.endpoint_id.is_not_distinct_from(endpoint_id))
