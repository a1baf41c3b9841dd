"""The schema. `migrations/` builds the same one step by step; a test compares the two."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    DDL,
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import ExecutableDDLElement

from app.domain.lifecycle import ACTIVE, TERMINAL, Status


def one_of(words: Iterable[StrEnum]) -> str:
    """The inside of an SQL list of these words."""
    return ", ".join(f"'{word}'" for word in sorted(words))


class Base(DeclarativeBase):
    """Names constraints as PostgreSQL itself would, and maps Python types to columns."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: DateTime(timezone=True),
        str: Text(),
        dict[str, str]: JSONB(),
        # `json`, not `jsonb`: a model may answer with \u0000, which jsonb refuses, and nothing queries inside.
        dict[str, Any]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        list[str]: ARRAY(Text()),
        bytes: LargeBinary(),
    }


class ApiKey(Base):
    """Whom jobs belong to. Its secrets come and go by rotation; the jobs stay its own."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    # What the key may do, where it differs from the settings.
    create_rate: Mapped[str | None]
    poll_rate: Mapped[str | None]
    max_active: Mapped[int | None]
    max_queued: Mapped[int | None]


class ApiKeySecret(Base):
    """A SHA-256 of one secret of a key, and until when it is good."""

    __tablename__ = "api_key_secrets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    hint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]


class Job(Base):
    """One accepted request: the only truth about it."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id"))
    status: Mapped[str]
    model: Mapped[str]
    request: Mapped[dict[str, Any]]
    """The parameters alone: what a poll reads must not grow with the prompt."""
    inputs: Mapped[dict[str, Any]]
    background: Mapped[bool]
    stream: Mapped[bool]
    store: Mapped[bool]
    """False: the result is kept for minutes only."""
    # `metadata` is taken by SQLAlchemy on the class, not in the table.
    metadata_: Mapped[dict[str, str]] = mapped_column("metadata")

    soft_time_limit: Mapped[float]
    time_limit: Mapped[float]
    max_attempts: Mapped[int]
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    """The fencing token: a claim raises it; a heartbeat and a settle require it."""
    worker: Mapped[str | None]

    idempotency_key: Mapped[str | None]
    request_digest: Mapped[bytes | None]
    """SHA-256 of the request that came with the idempotency key."""

    queue: Mapped[str]
    dispatches: Mapped[int] = mapped_column(server_default=text("0"))
    redispatch_at: Mapped[datetime | None]
    """When the sweep may publish the queued job again."""
    queue_expires_at: Mapped[datetime]
    lease_expires_at: Mapped[datetime | None]
    run_deadline_at: Mapped[datetime | None]
    """When the hard limit has passed for good and the sweep ends the try."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    output: Mapped[list[dict[str, Any]] | None]
    usage: Mapped[dict[str, Any] | None]
    incomplete_reason: Mapped[str | None]
    streamed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Output may have reached a reader, who can't be asked to unread it: the job is not run again."""
    events: Mapped[bytes | None]
    """The stream's log, packed (`app.domain.events`)."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]

    webhook_endpoint_id: Mapped[UUID | None]
    """The endpoint, of `source = 'job'`, through which the job's own webhook goes. No foreign key: its index would
    cost every job something, and a webhook whose endpoint is deleted has nobody to tell."""
    webhook_url: Mapped[str | None]
    webhook_events: Mapped[list[str] | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(Status)})", name="status"),
        CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempt"),
        CheckConstraint("soft_time_limit > 0 AND soft_time_limit <= time_limit", name="limits"),
        CheckConstraint(
            f"(status = '{Status.IN_PROGRESS}') = (lease_expires_at IS NOT NULL) "
            f"AND (status = '{Status.IN_PROGRESS}') = (run_deadline_at IS NOT NULL)",
            name="lease",
        ),
        CheckConstraint(f"(status = '{Status.QUEUED}') = (redispatch_at IS NOT NULL)", name="redispatch"),
        CheckConstraint(
            f"(status IN ({one_of(TERMINAL)})) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (expires_at IS NULL)",
            name="ended",
        ),
        CheckConstraint(f"(status = '{Status.COMPLETED}') = (output IS NOT NULL)", name="output"),
        CheckConstraint(
            f"(status = '{Status.FAILED}') = (error_code IS NOT NULL) "
            "AND (error_code IS NULL) = (error_message IS NULL)",
            name="error",
        ),
        CheckConstraint("(idempotency_key IS NULL) = (request_digest IS NULL)", name="idempotency"),
        CheckConstraint("NOT streamed OR stream", name="streamed"),
        CheckConstraint(
            f"status IN ('{Status.QUEUED}', '{Status.CANCELLED}', '{Status.FAILED}') OR attempt > 0",
            name="started",
        ),
        # A page of somebody's list, newest or oldest first.
        Index(None, "api_key_id", "id"),
        # The sweep. Its columns change only when the job moves, so that heartbeats stay HOT updates; the rows
        # in progress are as few as there are slots, and are read whole.
        Index(
            "jobs_redispatch_idx",
            "queue",
            "redispatch_at",
            postgresql_where=text(f"status = '{Status.QUEUED}'"),
        ),
        # Who stands before whom in a queue.
        Index("jobs_queued_idx", "queue", "id", postgresql_where=text(f"status = '{Status.QUEUED}'")),
        # How much a key has under way.
        Index(
            "jobs_active_idx",
            "api_key_id",
            "status",
            postgresql_where=text(f"status IN ({one_of(ACTIVE)})"),
        ),
        Index(
            "jobs_idempotency_key_idx",
            "api_key_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("jobs_queue_expires_idx", "queue_expires_at", postgresql_where=text(f"status = '{Status.QUEUED}'")),
        Index("jobs_in_progress_idx", "id", postgresql_where=text(f"status = '{Status.IN_PROGRESS}'")),
        # Who counts what has ended since.
        Index("jobs_ended_idx", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        # The purge.
        Index("jobs_expires_idx", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )


TABLE = cast("Table", Job.__table__)
"""The table, not the class: through the ORM an INSERT or UPDATE takes twice as long to build."""

FINAL_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status, NEW.ended_at, NEW.attempt, NEW.usage::text,
        NEW.incomplete_reason, NEW.error_code, NEW.error_message, NEW.output IS NULL, NEW.events IS NULL)
        IS DISTINCT FROM
       (OLD.status, OLD.ended_at, OLD.attempt, OLD.usage::text,
        OLD.incomplete_reason, OLD.error_code, OLD.error_message, OLD.output IS NULL, OLD.events IS NULL)
        OR (NEW.output::text, NEW.events) IS DISTINCT FROM (OLD.output::text, OLD.events)
        -- Who seals what is there under another key says so, for one transaction.
        AND current_setting('simmer.resealing', true) IS DISTINCT FROM 'on'
    THEN
        RAISE EXCEPTION 'job % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
FINAL_TRIGGER = f"""
CREATE TRIGGER jobs_final BEFORE UPDATE ON jobs FOR EACH ROW
WHEN (OLD.status IN ({one_of(TERMINAL)}))
EXECUTE FUNCTION refuse_change_of_ended_job()
"""

for _statement in (FINAL_FUNCTION, FINAL_TRIGGER):
    # DDL applies %-formatting.
    _ddl: ExecutableDDLElement = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    event.listen(TABLE, "after_create", _ddl)
