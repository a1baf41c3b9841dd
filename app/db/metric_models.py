"""The tables of what was counted for ever: a job's row goes with its retention, what it counted for stays."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Double
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models import Base


class JobTotal(Base):
    """The ended jobs of one model, by the name in the models file, with one outcome. Seconds of those that were
    started; each list has one number more than the histogram has bounds (`app.domain.totals`).
    """

    __tablename__ = "job_totals"

    model: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    jobs: Mapped[int] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(BigInteger)
    reruns: Mapped[int] = mapped_column(BigInteger)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    pickup_seconds: Mapped[float] = mapped_column(Double)
    pickup_buckets: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    run_seconds: Mapped[float] = mapped_column(Double)
    run_buckets: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))

    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)


class DeliveryTotal(Base):
    """The webhook deliveries that ended with one outcome. One that is replayed ends once more."""

    __tablename__ = "delivery_totals"

    outcome: Mapped[str] = mapped_column(primary_key=True)
    deliveries: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)


class Chore(Base):
    """What the sweep and the purge did so far, one row for each kind, and when they last ran."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)
    done_at: Mapped[datetime]

    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)
