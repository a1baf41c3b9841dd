"""What streams, synchronous jobs, idempotency keys and per-key limits need."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEYS = """
ALTER TABLE api_keys
    ADD COLUMN create_rate text,
    ADD COLUMN poll_rate text,
    ADD COLUMN max_active integer,
    ADD COLUMN max_queued integer;
"""

_JOBS = """
ALTER TABLE jobs
    ADD COLUMN inputs json NOT NULL DEFAULT '{"inputs": []}',
    ADD COLUMN background boolean NOT NULL DEFAULT true,
    ADD COLUMN stream boolean NOT NULL DEFAULT false,
    ADD COLUMN store boolean NOT NULL DEFAULT true,
    ADD COLUMN idempotency_key text,
    ADD COLUMN request_digest bytea,
    ADD COLUMN streamed boolean NOT NULL DEFAULT false,
    ADD COLUMN events bytea,
    ADD CONSTRAINT jobs_idempotency_check CHECK ((idempotency_key IS NULL) = (request_digest IS NULL)),
    ADD CONSTRAINT jobs_streamed_check CHECK (NOT streamed OR stream);
"""

# The inputs move from the parameters into a column of their own, as items of the Responses API.
_MOVE_INPUTS = """
UPDATE jobs SET
    inputs = json_build_object('inputs', (
        SELECT coalesce(json_agg(json_build_object(
            'type', 'message',
            'role', input ->> 'role',
            'content', (
                SELECT json_agg(json_build_object(
                    'type', CASE input ->> 'role' WHEN 'assistant' THEN 'output_text' ELSE 'input_text' END,
                    'text', content
                ) ORDER BY number)
                FROM json_array_elements(input -> 'texts') WITH ORDINALITY AS t (content, number)
            )
        ) ORDER BY position), '[]')
        FROM json_array_elements(request -> 'inputs') WITH ORDINALITY AS i (input, position)
    )),
    request = coalesce(
        (SELECT json_object_agg(key, value) FROM json_each(request) WHERE key NOT IN ('inputs', 'model', 'metadata')),
        '{}'
    );

ALTER TABLE jobs
    ALTER COLUMN inputs DROP DEFAULT,
    ALTER COLUMN background DROP DEFAULT,
    ALTER COLUMN stream DROP DEFAULT,
    ALTER COLUMN store DROP DEFAULT;
"""

_INDEXES = """
CREATE INDEX jobs_queued_idx ON jobs (queue, id) WHERE status = 'queued';
CREATE INDEX jobs_active_idx ON jobs (api_key_id, status) WHERE status IN ('in_progress', 'queued');
CREATE UNIQUE INDEX jobs_idempotency_key_idx ON jobs (api_key_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
"""

_FINAL = """
CREATE OR REPLACE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status, NEW.ended_at, NEW.attempt, NEW.output::text, NEW.usage::text,
        NEW.incomplete_reason, NEW.error_code, NEW.error_message, NEW.events)
        IS DISTINCT FROM
       (OLD.status, OLD.ended_at, OLD.attempt, OLD.output::text, OLD.usage::text,
        OLD.incomplete_reason, OLD.error_code, OLD.error_message, OLD.events)
    THEN
        RAISE EXCEPTION 'job % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
"""


def upgrade() -> None:
    for statements in (_KEYS, _JOBS, _MOVE_INPUTS, _INDEXES, _FINAL):
        op.execute(statements)


# Only the texts of messages had a place in the schema before.
_MOVE_INPUTS_BACK = """
UPDATE jobs SET request = (
    SELECT json_object_agg(key, value) FROM (
        SELECT key, value FROM json_each(request)
        UNION ALL SELECT 'model', to_json(model)
        UNION ALL SELECT 'inputs', (
            SELECT coalesce(json_agg(json_build_object('role', item ->> 'role', 'texts', (
                SELECT coalesce(json_agg(part -> 'text'), '[]') FROM json_array_elements(item -> 'content') AS part
                WHERE part -> 'text' IS NOT NULL
            )) ORDER BY position), '[]')
            FROM json_array_elements(inputs -> 'inputs') WITH ORDINALITY AS i (item, position)
            WHERE item ->> 'type' = 'message'
        )
    ) AS kept
)
"""

_DROP = """
ALTER TABLE jobs
    DROP CONSTRAINT jobs_idempotency_check,
    DROP CONSTRAINT jobs_streamed_check,
    DROP COLUMN inputs,
    DROP COLUMN background,
    DROP COLUMN stream,
    DROP COLUMN store,
    DROP COLUMN idempotency_key,
    DROP COLUMN request_digest,
    DROP COLUMN streamed,
    DROP COLUMN events;
DROP INDEX jobs_queued_idx, jobs_active_idx;
ALTER TABLE api_keys
    DROP COLUMN create_rate,
    DROP COLUMN poll_rate,
    DROP COLUMN max_active,
    DROP COLUMN max_queued;
"""


def downgrade() -> None:
    op.execute(_MOVE_INPUTS_BACK)
    op.execute(_FINAL.replace(", NEW.events", "").replace(", OLD.events", ""))
    op.execute(_DROP)
