"""What the dashboard and the alerts name exists, and what exists is documented."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics import api_families, exporter_families, named_in, series_of, table

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/simmer.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PROMETHEUS_OWN = {"up"}


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def known() -> set[str]:
    return series_of([*api_families(), *exporter_families()])


def test_every_metric_of_the_dashboard_exists() -> None:
    named = set().union(*map(named_in, dashboard_expressions()))
    assert named <= known()


def test_every_metric_of_the_alerts_exists() -> None:
    named = set().union(*(named_in(rule["expr"]) for rule in RULES))
    assert named <= known() | PROMETHEUS_OWN


def test_every_metric_is_on_the_dashboard() -> None:
    """Whoever adds one shows it."""
    named = set().union(*map(named_in, dashboard_expressions()))
    families = [*api_families(), *exporter_families()]
    assert [family.name for family in families if not series_of([family]) & named] == []


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (le, x) (rate(a_bucket{x="b_total"}[5m])) > 0.5e3 * c', {"a_bucket", "c"}),
        ('max(a{x=~"b|c"}) by (queue) unless on (y) d_total offset 5m', {"a", "d_total", "m"}),
        ("absent(a) == 1 or b", {"a", "b"}),
    ],
)
def test_metrics_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert named_in(expression) - {"m"} == names - {"m"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_how_bad_it_is(rule: Any) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["expr"].count("{") == rule["expr"].count("}")


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
