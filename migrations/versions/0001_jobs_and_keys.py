"""Jobs and API keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE api_keys (
    id uuid CONSTRAINT api_keys_pkey PRIMARY KEY,
    name text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

CREATE TABLE api_key_secrets (
    digest bytea CONSTRAINT api_key_secrets_pkey PRIMARY KEY,
    api_key_id uuid NOT NULL
        CONSTRAINT api_key_secrets_api_key_id_fkey REFERENCES api_keys (id) ON DELETE CASCADE,
    hint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);

CREATE INDEX api_key_secrets_api_key_id_idx ON api_key_secrets (api_key_id);

CREATE TABLE jobs (
    id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
    api_key_id uuid NOT NULL CONSTRAINT jobs_api_key_id_fkey REFERENCES api_keys (id),
    status text NOT NULL,
    model text NOT NULL,
    request json NOT NULL,
    metadata jsonb NOT NULL,
    soft_time_limit double precision NOT NULL,
    time_limit double precision NOT NULL,
    max_attempts integer NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    worker text,
    queue text NOT NULL,
    dispatches integer NOT NULL DEFAULT 0,
    redispatch_at timestamptz,
    queue_expires_at timestamptz NOT NULL,
    lease_expires_at timestamptz,
    run_deadline_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    output json,
    usage json,
    incomplete_reason text,
    error_code text,
    error_message text,
    CONSTRAINT jobs_status_check
        CHECK (status IN ('cancelled', 'completed', 'failed', 'in_progress', 'queued')),
    CONSTRAINT jobs_attempt_check CHECK (attempt BETWEEN 0 AND max_attempts),
    CONSTRAINT jobs_limits_check CHECK (soft_time_limit > 0 AND soft_time_limit <= time_limit),
    CONSTRAINT jobs_lease_check
        CHECK ((status = 'in_progress') = (lease_expires_at IS NOT NULL)
            AND (status = 'in_progress') = (run_deadline_at IS NOT NULL)),
    CONSTRAINT jobs_redispatch_check CHECK ((status = 'queued') = (redispatch_at IS NOT NULL)),
    CONSTRAINT jobs_ended_check
        CHECK ((status IN ('cancelled', 'completed', 'failed')) = (ended_at IS NOT NULL)
            AND (ended_at IS NULL) = (expires_at IS NULL)),
    CONSTRAINT jobs_output_check CHECK ((status = 'completed') = (output IS NOT NULL)),
    CONSTRAINT jobs_error_check
        CHECK ((status = 'failed') = (error_code IS NOT NULL)
            AND (error_code IS NULL) = (error_message IS NULL)),
    CONSTRAINT jobs_started_check CHECK (status IN ('queued', 'cancelled', 'failed') OR attempt > 0)
) WITH (fillfactor = 80);

CREATE INDEX jobs_api_key_id_id_idx ON jobs (api_key_id, id);
CREATE INDEX jobs_redispatch_idx ON jobs (queue, redispatch_at) WHERE status = 'queued';
CREATE INDEX jobs_queue_expires_idx ON jobs (queue_expires_at) WHERE status = 'queued';
CREATE INDEX jobs_in_progress_idx ON jobs (id) WHERE status = 'in_progress';
CREATE INDEX jobs_expires_idx ON jobs (expires_at) WHERE expires_at IS NOT NULL;
"""

_FINAL = """
CREATE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status, NEW.ended_at, NEW.attempt, NEW.output::text, NEW.usage::text,
        NEW.incomplete_reason, NEW.error_code, NEW.error_message)
        IS DISTINCT FROM
       (OLD.status, OLD.ended_at, OLD.attempt, OLD.output::text, OLD.usage::text,
        OLD.incomplete_reason, OLD.error_code, OLD.error_message)
    THEN
        RAISE EXCEPTION 'job % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER jobs_final BEFORE UPDATE ON jobs FOR EACH ROW
WHEN (OLD.status IN ('cancelled', 'completed', 'failed'))
EXECUTE FUNCTION refuse_change_of_ended_job();
"""


def upgrade() -> None:
    op.execute(_TABLES)
    op.execute(_FINAL)


def downgrade() -> None:
    op.execute("DROP TABLE jobs; DROP FUNCTION refuse_change_of_ended_job; DROP TABLE api_key_secrets, api_keys")
