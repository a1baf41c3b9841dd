"""What the exporter shows Prometheus of the queues' truth."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.domain.totals import Chore, Spread, Total, Truth
from app.domain.webhooks import DeliveryFailure, DeliveryStatus

_SINCE_EVER = "Kept in the database: a restart resets nothing."

Samples = Iterable[tuple[Sequence[str], float]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the exporter found when it last looked; None if that did not answer."""

    truth: Truth | None = None
    backlogs: Mapping[str, int] | None = None
    workers: Mapping[str, int] | None = None
    seconds: float = 0.0
    """How long looking took."""
    at: float = 0.0
    """When it had looked, on the monotonic clock."""


class TruthCollector(Collector):
    """Shows the last look; scrapes cost the database nothing."""

    def __init__(self, seen: Callable[[], Seen]) -> None:
        """Ask `seen` at each scrape."""
        self._seen = seen

    def describe(self) -> Iterable[Metric]:
        """Nothing: what it shows depends on what answers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, without those that can't be known just now: an old figure would look like a new one."""
        seen = self._seen()
        yield _gauge("simmer_database_up", "Whether the database answers.", [], [((), seen.truth is not None)])
        yield _gauge("simmer_broker_up", "Whether the broker answers.", [], [((), seen.backlogs is not None)])
        yield _gauge(
            "simmer_exporter_look_seconds", "How long the exporter's last look took.", [], [((), seen.seconds)]
        )
        age = time.monotonic() - seen.at
        yield _gauge("simmer_exporter_look_age_seconds", "How long ago the exporter last looked.", [], [((), age)])
        if seen.truth is not None:
            yield from _waiting(seen.truth)
            yield from _ended(seen.truth)
            yield from _chores(seen.truth)
        if seen.backlogs is not None:
            messages = "Messages that wait in the broker. They are hints: jobs count by their rows."
            yield _gauge("simmer_broker_messages", messages, ["queue"], _one(seen.backlogs))
        if seen.workers is not None:
            yield _gauge("simmer_workers", "Workers that take from the queue.", ["queue"], _one(seen.workers))


def _waiting(truth: Truth) -> Iterator[Metric]:
    states = [((one.queue, "queued"), one.queued) for one in truth.queues]
    states += [((one.queue, "in_progress"), one.running) for one in truth.queues]
    yield _gauge("simmer_jobs", "Jobs that have not ended.", ["queue", "status"], states)
    oldest = [((one.queue,), one.oldest) for one in truth.queues]
    yield _gauge("simmer_oldest_queued_seconds", "For how long the first job of a queue has waited.", ["queue"], oldest)
    waiting = truth.deliveries
    counts = {"pending": waiting.pending, "in_progress": waiting.in_progress}
    yield _gauge("simmer_webhook_deliveries", "Webhook deliveries that have not ended.", ["status"], _one(counts))
    yield _gauge(
        "simmer_webhook_lag_seconds",
        "For how long the longest waiting delivery has been due, of those that nothing holds back: neither a pause "
        "between two tries nor an open circuit.",
        [],
        [((), waiting.lag)],
    )
    age = "How old the oldest webhook delivery is that has not ended."
    yield _gauge("simmer_webhook_oldest_seconds", age, [], [((), waiting.oldest)])
    yield _gauge("simmer_webhook_endpoints", "Webhook endpoints by health.", ["state"], _one(truth.endpoints))
    rows = "About how many rows a table has, as of its last vacuum."
    yield _gauge("simmer_database_rows", rows, ["table"], _one(truth.rows))
    yield _gauge("simmer_database_bytes", "What the database takes on the disk.", [], [((), truth.database_bytes)])


def _ended(truth: Truth) -> Iterator[Metric]:
    labels = ["model", "outcome"]

    def summed(number: Callable[[Total], float]) -> Samples:
        return [(names, number(total)) for names, total in truth.totals.items()]

    jobs = "Jobs that ended: `completed`, `cancelled`, or the error's code."
    yield _counter("simmer_jobs_ended", jobs, labels, summed(lambda total: total.jobs))
    calls = "Calls of model servers for jobs that ended."
    yield _counter("simmer_upstream_calls", calls, labels, summed(lambda total: total.attempts))
    reruns = "Calls of model servers beyond each job's first, for jobs that ended."
    yield _counter("simmer_reruns", reruns, labels, summed(lambda total: total.reruns))
    tokens = "Tokens as the model servers counted them."
    yield _counter("simmer_tokens", tokens, ["model", "direction"], _tokens(truth))
    deliveries = "Webhook deliveries that ended: `delivered`, or why they were given up. A replayed one ends once more."
    yield _counter("simmer_webhook_deliveries_ended", deliveries, ["outcome"], _deliveries(truth))
    pickup = "From a job's creation to its start, counted when it has ended."
    yield _histogram("simmer_job_pickup_seconds", pickup, truth, lambda total: total.pickup)
    run = "From a job's first start to its end, re-runs and pauses included."
    yield _histogram("simmer_job_run_seconds", run, truth, lambda total: total.run)


def _chores(truth: Truth) -> Iterator[Metric]:
    def total(*chores: Chore) -> Samples:
        return [((chore.value,), truth.chores.get(chore, (0, 0.0))[0]) for chore in chores]

    yield _counter(
        "simmer_swept",
        "Jobs that the sweep ended at their hard limit (`overdue`), took from lost workers (`rescued`), gave up "
        "unstarted (`expired`) or published again (`redispatched`); deliveries that it took from lost workers "
        "(`taken_back`) or gave up (`given_up`).",
        ["kind"],
        total(Chore.OVERDUE, Chore.RESCUED, Chore.EXPIRED, Chore.REDISPATCHED, Chore.TAKEN_BACK, Chore.GIVEN_UP),
    )
    purged = {"jobs": Chore.PURGED_JOBS, "deliveries": Chore.PURGED_DELIVERIES}
    rows = [((what,), truth.chores.get(chore, (0, 0.0))[0]) for what, chore in purged.items()]
    yield _counter("simmer_purged", "Rows that the purge deleted.", ["kind"], rows)
    since = [((chore.value,), truth.chores[chore][1]) for chore in (Chore.SWEEP, Chore.PURGE) if chore in truth.chores]
    yield _gauge("simmer_chore_age_seconds", "How long ago the sweep and the purge last ended.", ["chore"], since)


def _gauge(name: str, meaning: str, labels: Sequence[str], samples: Samples) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), samples)


def _counter(name: str, meaning: str, labels: Sequence[str], samples: Samples) -> Metric:
    return _filled(CounterMetricFamily(name, f"{meaning} {_SINCE_EVER}", labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _histogram(name: str, meaning: str, truth: Truth, spread_of: Callable[[Total], Spread]) -> Metric:
    family = HistogramMetricFamily(name, f"{meaning} {_SINCE_EVER}", labels=["model", "outcome"])
    for names, total in truth.totals.items():
        spread = spread_of(total)
        bounds = [floatToGoString(bound) for bound in (*spread.bounds, float("inf"))]
        family.add_metric(names, list(zip(bounds, accumulate(spread.buckets), strict=True)), spread.seconds)
    return family


def _one(counts: Mapping[str, float]) -> Samples:
    return [((name,), number) for name, number in counts.items()]


def _deliveries(truth: Truth) -> Samples:
    """All outcomes there are, from the first look on: a counter that begins with 1 shows no increase."""
    outcomes = [DeliveryStatus.DELIVERED.value, *DeliveryFailure]
    return _one({str(outcome): truth.delivered.get(outcome, 0) for outcome in outcomes})


def _tokens(truth: Truth) -> Samples:
    sums: Counter[tuple[str, str]] = Counter()
    for (model, _), total in truth.totals.items():
        sums.update({(model, "input"): total.input_tokens, (model, "output"): total.output_tokens})
    return sums.items()
