"""Every metric there is, and those that a PromQL expression names. `python -m tests.metrics` prints docs' table."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
    parse,
)

from app.adapters.metrics import ApiMetrics
from app.adapters.truth_metrics import Seen, TruthCollector
from app.domain.jobs import JOB_QUEUES
from app.domain.totals import Chore, DeliveryState, EndedJob, QueueState, Total, Truth

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def sample_truth() -> Truth:
    """Something of everything."""
    total = Total()
    total.add(EndedJob("gpt-4.1", "completed", 2, 0.3, 5.0, 7, 9, ended_at=NotImplemented))
    return Truth(
        queues=[QueueState(queue, 3, 1, 2.5) for queue in JOB_QUEUES],
        deliveries=DeliveryState(4, 1, 60.0, 30.0),
        endpoints={"ok": 5, "failing": 1, "disabled": 2},
        totals={("gpt-4.1", "completed"): total},
        delivered={"delivered": 8, "too_old": 1},
        chores={Chore.SWEEP: (9, 4.0), Chore.PURGE: (3, 40.0), Chore.RESCUED: (2, 10.0), Chore.PURGED_JOBS: (6, 40.0)},
        rows={"jobs": 100.0, "webhook_deliveries": 10.0},
        database_bytes=8_000_000,
    )


def api_families() -> list[Metric]:
    """What an API exports."""
    return list(ApiMetrics().registry.collect())


def exporter_families() -> list[Metric]:
    """What the exporter exports when everything answers."""
    seen = Seen(sample_truth(), {"default": 1}, {"default": 2}, 0.1)
    return list(TruthCollector(lambda: seen).collect())


def series_of(families: list[Metric]) -> set[str]:
    """Names that an expression may use."""
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def named_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names. Raises ValueError if it is none."""
    return {name for name, _ in asked_in(expression)}


def asked_in(expression: str) -> set[tuple[str, str]]:
    """The metrics that a PromQL expression names, each with every label that it filters or groups them by, and with
    "" besides. Raises ValueError if it is none.
    """
    return _asked(parse(expression), ())


def _asked(part: Expr, grouped: Sequence[str]) -> set[tuple[str, str]]:
    match part:
        case VectorSelector():
            filtered = [matcher.name for matcher in part.matchers.matchers]
            return {(part.name or "", label) for label in ("", *filtered, *grouped)}
        case AggregateExpr() if part.modifier and part.modifier.type == AggModifierType.By:
            return _asked(part.expr, (*grouped, *part.modifier.labels))
        case AggregateExpr() | ParenExpr() | UnaryExpr() | SubqueryExpr():
            return _asked(part.expr, grouped)
        case MatrixSelector():
            return _asked(part.vector_selector, grouped)
        case Call():
            return set().union(*(_asked(argument, grouped) for argument in part.args))
        case BinaryExpr():
            return _asked(part.lhs, grouped) | _asked(part.rhs, grouped)
    return set()


def labels_of(families: list[Metric]) -> set[tuple[str, str]]:
    """The series of these metrics, each with every label it has, and with "" besides."""
    found = {
        (series, label) for family in families for series in series_of([family]) for label in ("", *_labels(family))
    }
    return found | {(series, "le") for series, _ in found if series.endswith("_bucket")}


def read(text: str) -> Samples:
    """What a scrape says, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def table() -> str:
    """The table of docs/metrics.md."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    for title, families in (("API", api_families()), ("Exporter", exporter_families())):
        yield f"\n### {title}\n\n| Metric | Type | Labels | Meaning |\n| --- | --- | --- | --- |"
        for family in families:
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in _labels(family))
            yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def _labels(family: Metric) -> list[str]:
    # An API that has counted nothing has no samples to look at.
    if family.name in _API_LABELS:
        return _API_LABELS[family.name]
    return sorted({label for sample in family.samples for label in sample.labels} - {"le"})


_API_LABELS = {
    "simmer_http_requests": ["method", "route", "status"],
    "simmer_http_request_duration_seconds": ["method", "route"],
    "simmer_http_refusals": ["code"],
}

if __name__ == "__main__":
    print(table())
