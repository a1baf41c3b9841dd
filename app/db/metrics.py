"""What the exporter reads and keeps: newly ended jobs, the totals of all that ended, and what waits now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Float, case, extract, func, select, text
from sqlalchemy.dialects.postgresql import insert

from app.db.jobs import jobs
from app.db.metric_models import Chore as ChoreRow
from app.db.metric_models import JobTotal
from app.domain.lifecycle import Status
from app.domain.totals import (
    PICKUP_BOUNDS,
    RUN_BOUNDS,
    Chore,
    EndedJob,
    Spread,
    Total,
    Totals,
)

# A transaction that ends jobs dates them with its own begin. So nothing is counted that is younger than the oldest one
# still under way: it may have more to add, dated before. The seconds are for what the view does not show yet, and for
# long transactions of others, such as a backup: ours are cut off before.
_SETTLED = text("""
    SELECT greatest(least(now() - interval '1 second', min(xact_start)), now() - interval '60 seconds')
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


def lock_count(connection: Connection, chore: Chore) -> datetime | None:
    """Up to when what ended is counted, and for this transaction nobody else counts it; None if somebody does."""
    begin = insert(ChoreRow).values(name=chore.value, total=0, done_at=func.to_timestamp(0))
    connection.execute(begin.on_conflict_do_nothing())
    mine = select(ChoreRow.done_at).where(ChoreRow.name == chore.value).with_for_update(skip_locked=True)
    return connection.execute(mine).scalar_one_or_none()


def settled_until(connection: Connection) -> datetime:
    """Before when nothing more will have ended than can be seen by the next statement."""
    until: datetime = connection.execute(_SETTLED).scalar_one()
    return until


def ended_between(connection: Connection, after: datetime, until: datetime, *, limit: int) -> list[EndedJob]:
    """The first jobs that ended after `after` and before `until`; some more than `limit`, if they ended together."""
    usage = jobs.usage
    outcome = case((jobs.status == Status.FAILED.value, jobs.error_code), else_=jobs.status)
    statement = (
        select(
            jobs.model,
            outcome.label("outcome"),
            jobs.attempt.label("attempts"),
            extract("epoch", jobs.started_at - jobs.created_at).cast(Float).label("pickup"),
            extract("epoch", jobs.ended_at - jobs.started_at).cast(Float).label("run"),
            func.coalesce(usage["input_tokens"].as_integer(), 0).label("input_tokens"),
            func.coalesce(usage["output_tokens"].as_integer(), 0).label("output_tokens"),
            jobs.ended_at,
        )
        .where(jobs.ended_at > after, jobs.ended_at < until)
        .order_by(jobs.ended_at)
        .fetch(limit, with_ties=True)
    )
    return [EndedJob(**row._asdict()) for row in connection.execute(statement)]


def add_totals(connection: Connection, added: Totals) -> None:
    """Add to what is kept. Needs the lock of `lock_count`."""
    kept = totals(connection)
    for (model, outcome), more in added.items():
        values = _columns(_sum(kept[model, outcome], more) if (model, outcome) in kept else more)
        row = insert(JobTotal).values(model=model, outcome=outcome, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["model", "outcome"], set_=values))


def counted(connection: Connection, chore: Chore, number: int, until: datetime) -> None:
    """Note up to when all that ended is counted."""
    row = insert(ChoreRow).values(name=chore.value, total=number, done_at=until)
    more = {"total": ChoreRow.total + number, "done_at": until}
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=more))


def done(connection: Connection, numbers: Mapping[Chore, int]) -> None:
    """Add to what the chores did so far."""
    # For this transaction: what a crash takes back is a figure.
    connection.execute(select(func.set_config("synchronous_commit", "off", True)))
    for name, number in sorted(numbers.items()):
        row = insert(ChoreRow).values(name=name.value, total=number, done_at=func.now())
        more = {"total": ChoreRow.total + number, "done_at": func.now()}
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=more))


def totals(connection: Connection) -> dict[tuple[str, str], Total]:
    """All that was counted of ended jobs."""
    table = JobTotal.__table__
    return {(row.model, row.outcome): _total(row) for row in connection.execute(select(table))}


def chores(connection: Connection) -> dict[str, tuple[int, float]]:
    """What each chore did so far, and seconds since it last did."""
    since = extract("epoch", func.now() - ChoreRow.done_at)
    found = connection.execute(select(ChoreRow.name, ChoreRow.total, since))
    return {name: (total, float(seconds)) for name, total, seconds in found}


def _columns(total: Total) -> dict[str, Any]:
    plain = {name: getattr(total, name) for name in ("jobs", "attempts", "reruns", "input_tokens", "output_tokens")}
    return {
        **plain,
        "pickup_seconds": total.pickup.seconds,
        "pickup_buckets": total.pickup.buckets,
        "run_seconds": total.run.seconds,
        "run_buckets": total.run.buckets,
    }


def _total(row: Any) -> Total:
    pickup = Spread(PICKUP_BOUNDS, list(row.pickup_buckets), row.pickup_seconds)
    run = Spread(RUN_BOUNDS, list(row.run_buckets), row.run_seconds)
    return Total(row.jobs, row.attempts, row.reruns, row.input_tokens, row.output_tokens, pickup, run)


def _sum(one: Total, other: Total) -> Total:
    return Total(
        one.jobs + other.jobs,
        one.attempts + other.attempts,
        one.reruns + other.reruns,
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        _both(one.pickup, other.pickup),
        _both(one.run, other.run),
    )


def _both(one: Spread, other: Spread) -> Spread:
    buckets = [a + b for a, b in zip(one.buckets, other.buckets, strict=True)]
    return Spread(one.bounds, buckets, one.seconds + other.seconds)
