"""Webhooks: endpoints, their secrets, deliveries and tries, and what a job says of its own webhook."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Empty and without constraints: no row is looked at, the lock is held for a moment.
_JOBS = """
ALTER TABLE jobs
    ADD COLUMN webhook_endpoint_id uuid,
    ADD COLUMN webhook_url text,
    ADD COLUMN webhook_events text[];
"""

_ENDPOINTS = """
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    api_key_id uuid NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    source text NOT NULL,
    url text NOT NULL,
    events text[] NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    consecutive_failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    open_until timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    used_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_endpoints_source_check CHECK (source IN ('api', 'job')),
    CONSTRAINT webhook_endpoints_failing_check CHECK ((consecutive_failures > 0) = (failing_since IS NOT NULL)),
    CONSTRAINT webhook_endpoints_disabled_check CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT webhook_endpoints_disabled_reason_check
        CHECK (disabled_reason IN ('disabled_by_owner', 'failing', 'gone', 'key_revoked'))
);
CREATE INDEX webhook_endpoints_api_key_id_id_idx ON webhook_endpoints (api_key_id, id);
CREATE UNIQUE INDEX webhook_endpoints_origin_idx ON webhook_endpoints (api_key_id, url) WHERE source = 'job';
"""

_SECRETS = """
CREATE TABLE webhook_secrets (
    id uuid PRIMARY KEY,
    api_key_id uuid NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    endpoint_id uuid REFERENCES webhook_endpoints ON DELETE CASCADE,
    secret text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_endpoint_id_idx ON webhook_secrets (endpoint_id);
CREATE INDEX webhook_secrets_api_key_id_endpoint_id_idx ON webhook_secrets (api_key_id, endpoint_id);
CREATE UNIQUE INDEX webhook_secrets_current_idx ON webhook_secrets (api_key_id, endpoint_id)
    NULLS NOT DISTINCT WHERE expires_at IS NULL;
"""

_DELIVERIES = """
CREATE TABLE webhook_deliveries (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_id uuid NOT NULL,
    type text NOT NULL,
    data_id text NOT NULL,
    url text,
    created_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'pending',
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    give_up_at timestamptz NOT NULL,
    lease_expires_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    failure text,
    PRIMARY KEY (endpoint_id, event_id),
    CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('delivered', 'failed', 'in_progress', 'pending')),
    CONSTRAINT webhook_deliveries_pending_check CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_lease_check CHECK ((status = 'in_progress') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_ended_check CHECK (
        (status IN ('delivered', 'failed')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (expires_at IS NULL)
    ),
    CONSTRAINT webhook_deliveries_failed_check CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT webhook_deliveries_failure_check
        CHECK (failure IN ('attempts_exhausted', 'endpoint_disabled', 'endpoint_gone', 'too_old'))
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_give_up_idx ON webhook_deliveries (give_up_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_in_progress_idx ON webhook_deliveries (endpoint_id) WHERE status = 'in_progress';
CREATE INDEX webhook_deliveries_expires_idx ON webhook_deliveries (expires_at) WHERE expires_at IS NOT NULL;
"""

_ATTEMPTS = """
CREATE TABLE webhook_attempts (
    endpoint_id uuid,
    event_id uuid,
    attempt integer,
    started_at timestamptz NOT NULL,
    duration double precision NOT NULL,
    status_code integer,
    error text,
    reply bytea,
    PRIMARY KEY (endpoint_id, event_id, attempt),
    FOREIGN KEY (endpoint_id, event_id) REFERENCES webhook_deliveries ON DELETE CASCADE,
    CONSTRAINT webhook_attempts_outcome_check CHECK ((status_code IS NULL) = (error IS NOT NULL))
);
"""


def upgrade() -> None:
    for statements in (_ENDPOINTS, _SECRETS, _DELIVERIES, _ATTEMPTS, _JOBS):
        op.execute(statements)


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN webhook_endpoint_id, DROP COLUMN webhook_url, DROP COLUMN webhook_events")
    op.execute("DROP TABLE webhook_attempts, webhook_deliveries, webhook_secrets, webhook_endpoints")
