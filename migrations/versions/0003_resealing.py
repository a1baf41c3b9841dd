"""What is stored of an ended job may be sealed under another key, and is then the same as before to its reader."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The function alone is replaced: no lock on the table is waited for, and older code runs on as it did.
_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change_of_ended_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{check}        RAISE EXCEPTION 'job % is %, which is final', OLD.id, OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
"""
_WITH_RESEALING = """\
    IF (NEW.status, NEW.ended_at, NEW.attempt, NEW.usage::text,
        NEW.incomplete_reason, NEW.error_code, NEW.error_message, NEW.output IS NULL, NEW.events IS NULL)
        IS DISTINCT FROM
       (OLD.status, OLD.ended_at, OLD.attempt, OLD.usage::text,
        OLD.incomplete_reason, OLD.error_code, OLD.error_message, OLD.output IS NULL, OLD.events IS NULL)
        OR (NEW.output::text, NEW.events) IS DISTINCT FROM (OLD.output::text, OLD.events)
        -- Who seals what is there under another key says so, for one transaction.
        AND current_setting('simmer.resealing', true) IS DISTINCT FROM 'on'
    THEN
"""
_BEFORE = """\
    IF (NEW.status, NEW.ended_at, NEW.attempt, NEW.output::text, NEW.usage::text,
        NEW.incomplete_reason, NEW.error_code, NEW.error_message, NEW.events)
        IS DISTINCT FROM
       (OLD.status, OLD.ended_at, OLD.attempt, OLD.output::text, OLD.usage::text,
        OLD.incomplete_reason, OLD.error_code, OLD.error_message, OLD.events)
    THEN
"""


def upgrade() -> None:
    op.execute(_FUNCTION.format(check=_WITH_RESEALING))


def downgrade() -> None:
    op.execute(_FUNCTION.format(check=_BEFORE))
