"""What one API process counts, and how it is shown."""

from dataclasses import dataclass

import pytest

from app.adapters.metrics import MAX_AGE, ApiMetrics
from tests.metrics import Samples, read


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted(clock: Clock) -> ApiMetrics:
    return ApiMetrics(clock=clock)


def shown(counted: ApiMetrics, clock: Clock) -> Samples:
    clock.now += MAX_AGE
    return read(counted.render().decode())


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_requests_are_counted_by_route_method_and_class_of_status(counted: ApiMetrics, clock: Clock) -> None:
    for status in (200, 204, 404):
        counted.answered("/v1/responses", "POST", status, 0.02, "not_found" if status == 404 else None)
    samples = shown(counted, clock)
    labels = {"route": "/v1/responses", "method": "POST"}
    assert of(samples, "simmer_http_requests_total", status="2xx", **labels) == 2
    assert of(samples, "simmer_http_requests_total", status="4xx", **labels) == 1
    assert of(samples, "simmer_http_refusals_total", code="not_found") == 1
    assert of(samples, "simmer_http_request_duration_seconds_count", **labels) == 3
    assert of(samples, "simmer_http_request_duration_seconds_bucket", le="0.01", **labels) == 0
    assert of(samples, "simmer_http_request_duration_seconds_bucket", le="0.025", **labels) == 3
    assert of(samples, "simmer_http_request_duration_seconds_sum", **labels) == pytest.approx(0.06)


def test_a_method_that_a_client_makes_up_is_no_label(counted: ApiMetrics, clock: Clock) -> None:
    for number in range(3):
        counted.answered("-", f"SECRET{number}", 405, 0.0, None)
    samples = shown(counted, clock)
    assert of(samples, "simmer_http_requests_total", route="-", method="other", status="4xx") == 3
    assert "SECRET" not in counted.render().decode()
    assert len(counted._series) == 0


def test_gauges_are_what_they_are_when_somebody_looks(counted: ApiMetrics, clock: Clock) -> None:
    busy = [3.0]
    counted.gauges["requests_in_work"] = busy.pop
    with counted.streaming(), counted.waiting(), counted.waiting():
        samples = shown(counted, clock)
        busy.append(0.0)
    assert of(samples, "simmer_api_requests_in_work") == 3
    assert of(samples, "simmer_api_streams") == 1
    assert of(samples, "simmer_api_waits") == 2
    assert of(samples, "simmer_api_processes") == 1
    after = shown(counted, clock)
    assert of(after, "simmer_api_streams") == of(after, "simmer_api_waits") == 0


def test_many_who_ask_at_once_cost_as_much_as_one(counted: ApiMetrics, clock: Clock) -> None:
    before = counted.render()
    counted.refused("overloaded")
    assert counted.render() is before
    clock.now += MAX_AGE
    assert b"overloaded" in counted.render()
