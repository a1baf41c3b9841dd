"""When traces are on, by OpenTelemetry's variables, and that they cost nothing when they are not."""

from collections.abc import Iterator

import pytest

from app.adapters.tracing import _wanted, start
from app.domain import tracing
from app.settings import Settings

VARIABLES = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
HERE = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    tracing.turn_on(None)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": HERE}, {"otlp"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": HERE}, {"otlp"}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {"otlp"}),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, {"otlp", "console"}),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": HERE}, set()),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, set()),
        ({"OTEL_SDK_DISABLED": "True", "OTEL_TRACES_EXPORTER": "otlp"}, set()),
        ({"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, {"otlp"}),
    ],
)
def test_the_usual_variables_turn_traces_on_and_off(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: set[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert _wanted() == wanted
    if "otlp" not in wanted:
        start(Settings(), "test")
        assert tracing.is_on() == bool(wanted)


def test_without_a_tracer_nothing_is_made() -> None:
    @tracing.traced("name")
    def called() -> dict[str, str]:
        with tracing.span("inner"), tracing.continued({"traceparent": "00-1-2-01"}):
            tracing.note({"a": 1})
            return tracing.outgoing()

    assert called() == {}
    assert tracing.span("one") is tracing.span("other")
