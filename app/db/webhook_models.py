"""The tables of webhooks."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models import Base, one_of
from app.domain.webhooks import DeliveryFailure, DeliveryStatus, DisabledReason

_PENDING = text(f"status = '{DeliveryStatus.PENDING}'")
_IN_PROGRESS = text(f"status = '{DeliveryStatus.IN_PROGRESS}'")


class WebhookEndpoint(Base):
    """Where events of an API key's jobs go, and how it has been doing."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    source: Mapped[str]
    url: Mapped[str]
    """Of `source = 'job'` scheme, host and port: what is slow or dead is a server, not a path."""
    events: Mapped[list[str]]
    """Which of all its key's jobs it is told; none if its source is a job."""
    description: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    consecutive_failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    open_until: Mapped[datetime | None]
    """Until when the circuit is open: nothing is sent. Afterwards one delivery at a time, until one succeeds."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When a job last came with it, to the hour; one of `source = 'job'` is purged when that is long ago."""

    __table_args__ = (
        CheckConstraint("source IN ('api', 'job')", name="source"),
        CheckConstraint("(consecutive_failures > 0) = (failing_since IS NOT NULL)", name="failing"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled"),
        CheckConstraint(f"disabled_reason IN ({one_of(DisabledReason)})", name="disabled_reason"),
        Index(None, "api_key_id", "id"),
        Index(
            "webhook_endpoints_origin_idx",
            "api_key_id",
            "url",
            unique=True,
            postgresql_where=text("source = 'job'"),
        ),
    )


class WebhookSecret(Base):
    """What signs the deliveries of an endpoint, or of the webhooks of an API key's single jobs."""

    __tablename__ = "webhook_secrets"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    endpoint_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    """None: the webhooks of single jobs."""
    secret: Mapped[str]
    """`whsec_…`, sealed if there are encryption keys."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    """Until when a rotated secret still signs, beside the current one; None for the current one."""

    __table_args__ = (
        Index(None, "endpoint_id"),
        Index(None, "api_key_id", "endpoint_id"),
        Index(
            "webhook_secrets_current_idx",
            "api_key_id",
            "endpoint_id",
            unique=True,
            postgresql_where=text("expires_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
    )


class WebhookDelivery(Base):
    """One event on its way to one endpoint. It is written in the transaction that ends the job, and does not end
    with it: it may outlive the job.
    """

    __tablename__ = "webhook_deliveries"

    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    type: Mapped[str]
    data_id: Mapped[str]
    url: Mapped[str | None]
    """Of a job's own webhook; None for the endpoint's."""
    traceparent: Mapped[str | None]
    """Of W3C's Trace Context: where its job ended, if that was traced."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    status: Mapped[str] = mapped_column(server_default=text(f"'{DeliveryStatus.PENDING}'"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    """The fencing token: a claim raises it; the end of the try requires it."""
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """Tries that failed. One that ended with its worker has not."""
    next_attempt_at: Mapped[datetime | None]
    give_up_at: Mapped[datetime]
    """When a delivery that still waits becomes a dead letter, however few tries it had."""
    lease_expires_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    failure: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(DeliveryStatus)})", name="status"),
        CheckConstraint(f"(status = '{DeliveryStatus.PENDING}') = (next_attempt_at IS NOT NULL)", name="pending"),
        CheckConstraint(f"(status = '{DeliveryStatus.IN_PROGRESS}') = (lease_expires_at IS NOT NULL)", name="lease"),
        CheckConstraint(
            f"(status IN ('{DeliveryStatus.DELIVERED}', '{DeliveryStatus.FAILED}')) = (ended_at IS NOT NULL) "
            "AND (ended_at IS NULL) = (expires_at IS NULL)",
            name="ended",
        ),
        CheckConstraint(f"(status = '{DeliveryStatus.FAILED}') = (failure IS NOT NULL)", name="failed"),
        CheckConstraint(f"failure IN ({one_of(DeliveryFailure)})", name="failure"),
        Index("webhook_deliveries_due_idx", "endpoint_id", "next_attempt_at", postgresql_where=_PENDING),
        Index("webhook_deliveries_give_up_idx", "give_up_at", postgresql_where=_PENDING),
        Index("webhook_deliveries_in_progress_idx", "endpoint_id", postgresql_where=_IN_PROGRESS),
        Index("webhook_deliveries_ended_idx", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("webhook_deliveries_expires_idx", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )


class WebhookAttempt(Base):
    """One try of a delivery, written when it ended."""

    __tablename__ = "webhook_attempts"

    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    duration: Mapped[float]
    """Seconds."""
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    reply: Mapped[bytes | None]
    """The first bytes of the body."""

    __table_args__ = (
        ForeignKeyConstraint(
            ["endpoint_id", "event_id"],
            ["webhook_deliveries.endpoint_id", "webhook_deliveries.event_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("(status_code IS NULL) = (error IS NOT NULL)", name="outcome"),
    )
