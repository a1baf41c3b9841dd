"""What the dashboard and the alerts name exists, and what exists is documented."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics import api_families, asked_in, exporter_families, labels_of, named_in, series_of, table

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/simmer.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PROMETHEUS_OWN = {("up", ""), ("up", "job")}


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_every_metric_is_on_the_dashboard() -> None:
    """Whoever adds one shows it."""
    named = set().union(*map(named_in, dashboard_expressions()))
    families = [*api_families(), *exporter_families()]
    assert [family.name for family in families if not series_of([family]) & named] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_bad_it_is(rule: Any) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


@pytest.mark.parametrize("expression", [*dashboard_expressions(), *(rule["expr"] for rule in RULES)])
def test_an_expression_asks_for_metrics_and_labels_that_exist(expression: str) -> None:
    """Prometheus takes any name; what does not exist is found never, and an alert on it stays silent."""
    assert asked_in(expression) <= labels_of([*api_families(), *exporter_families()]) | PROMETHEUS_OWN


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ('rate(a_total{x="1"}[5m]) > 0.5e3 * sum by (le, y) (b)', {"a_total": {"x"}, "b": {"le", "y"}}),
        ('max(a{x=~"b|c"}) by (y) unless on (z) d_total offset 5m', {"a": {"x", "y"}, "d_total": set()}),
        ("absent(-a) == 1 or sum without (x) (max_over_time(b[1h:1m]))", {"a": set(), "b": set()}),
    ],
)
def test_what_an_expression_asks_for_is_found(expression: str, asked: dict[str, set[str]]) -> None:
    assert asked_in(expression) == {(name, label) for name, labels in asked.items() for label in ("", *labels)}


def test_what_must_wake_somebody_has_an_alert() -> None:
    alerts = {rule["alert"] for rule in RULES}
    wanted = {"DatabaseDown", "BrokerDown", "QueueOld", "NoWorker", "Failures", "SweepNotRunning", "WebhooksLate"}
    assert {f"Simmer{name}" for name in wanted | {"ApiErrors"}} <= alerts


def test_panels_lie_side_by_side_and_have_ids_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_documented_table_is_what_the_code_exports() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    _, _, rest = page.partition("<!-- metrics -->\n")
    written, end, _ = rest.partition("<!-- /metrics -->")
    assert end, "docs/metrics.md has lost its markers"
    assert written.strip() == table().strip(), "put the output of `python -m tests.metrics` between the markers"


def test_every_alert_is_in_the_docs() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in page] == []
