"""One trace from the request to the model server and back, in one process with spans kept in memory."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.adapters.otel import OpenTelemetryTracer
from app.container import Container
from app.db import webhook_deliveries
from app.domain import tracing
from app.domain.ids import new_id, parse_public_id
from app.domain.scopes import DEFAULT_SCOPES
from app.domain.webhook_sending import Reply
from app.factory import create_app
from app.services.deliveries import DeliveryService
from app.settings import Settings
from tests import deliveries
from tests.integration.api.conftest import BODY, URL
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.webhook_sender import OK, ScriptedSender, fail
from tests.upstream.client import MockUpstream

PROMPT = "CANARY prompt"
INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing.turn_on(OpenTelemetryTracer(provider))
    yield kept
    tracing.turn_on(None)


@pytest.fixture
def app(settings: Settings, exporter: InMemorySpanExporter) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["simmer"].database.close()


@pytest.fixture
def published(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """The headers of the messages that the API sends."""
    headers: list[Mapping[str, str]] = []

    def send(*_: Any, **options: Any) -> None:
        headers.append(options["headers"])

    monkeypatch.setattr(app.extensions["simmer"].dispatcher._celery.amqp, "send_task_message", send)
    return headers


def submit(app: Flask, prompt: str = PROMPT, key: str = "", **headers: str) -> UUID:
    key = key or app.extensions["simmer"].keys.create("test", DEFAULT_SCOPES)[1]
    body = BODY | {"inputs": [{"role": "user", "texts": [{"text": prompt}]}]}
    reply = app.test_client().post(URL, json=body, headers={"Authorization": f"Bearer {key}", **headers})
    assert reply.status_code == 200
    job_id = parse_public_id(reply.get_json()["id"])
    assert job_id
    return job_id


def run(container: Container, job_id: UUID, message: Mapping[str, str]) -> None:
    """As the worker's task does."""
    with tracing.continued(message), tracing.span("run job", "consumer"):
        lease = container.execution.claim(job_id, worker="jobs@test", abort=lambda: None)
        assert lease
        container.execution.perform(lease)


def deliver(container: Container, endpoint_id: UUID, reply: Callable[[], Reply] = lambda: OK) -> None:
    """As the worker's task does, but nothing is sent."""
    sender = ScriptedSender(reply)
    DeliveryService(container.database, sender, RecordingDispatcher(), container.settings).drain(endpoint_id)
    assert len(sender.sent) == 1
    assert "traceparent" not in sender.sent[0][1]


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert len(spans) == len(exporter.get_finished_spans())
    return spans


def trace_of(span: ReadableSpan) -> str:
    assert span.context
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> int:
    assert span.context
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_one_trace_leads_from_the_request_to_the_model_server(
    app: Flask,
    container: Container,
    published: list[Mapping[str, str]],
    exporter: InMemorySpanExporter,
    upstream: MockUpstream,
) -> None:
    job_id = submit(app, traceparent=INCOMING)
    run(container, job_id, published[0])
    spans = by_name(exporter)
    request, publish, job = spans[f"POST {URL}"], spans["publish"], spans["run job"]
    assert {trace_of(span) for span in spans.values()} == {INCOMING.split("-")[1]}
    assert parent_of(request) == int(INCOMING.split("-")[2], 16)
    assert parent_of(publish) == id_of(request)
    assert parent_of(job) == id_of(publish)
    assert {parent_of(spans[name]) for name in ("claim", "call model", "settle")} == {id_of(job)}
    kinds = {name: span.kind for name, span in spans.items()}
    assert kinds == {
        f"POST {URL}": SpanKind.SERVER,
        "publish": SpanKind.PRODUCER,
        "run job": SpanKind.CONSUMER,
        "claim": SpanKind.INTERNAL,
        "call model": SpanKind.CLIENT,
        "settle": SpanKind.INTERNAL,
    }
    sent = upstream.calls(PROMPT)[-1].headers["traceparent"]
    assert sent == f"00-{trace_of(job)}-{id_of(spans['call model']):016x}-01"
    assert dict(request.attributes or {}).items() >= {"http.response.status_code": 200, "http.route": URL}.items()
    assert dict(spans["call model"].attributes or {}) == {"simmer.attempt": 1, "gen_ai.request.model": "gpt-4.1"}


@pytest.fixture
def hooked(container: Container) -> tuple[str, UUID]:
    """A key whose jobs a webhook endpoint is told of, and the endpoint."""
    key, secret = container.keys.create("test", DEFAULT_SCOPES)
    with container.database.transaction() as connection:
        return secret, deliveries.add_endpoint(connection, key.id)


def test_the_trace_of_a_job_goes_on_to_its_webhook(
    app: Flask,
    container: Container,
    published: list[Mapping[str, str]],
    exporter: InMemorySpanExporter,
    hooked: tuple[str, UUID],
) -> None:
    key, endpoint_id = hooked
    job_id = submit(app, key=key, traceparent=INCOMING)
    run(container, job_id, published[0])
    deliver(container, endpoint_id)
    spans = by_name(exporter)
    delivery = spans["deliver webhook"]
    assert trace_of(delivery) == INCOMING.split("-")[1]
    assert parent_of(delivery) == id_of(spans["settle"])
    assert delivery.kind is SpanKind.CLIENT
    assert dict(delivery.attributes or {}) == {
        "simmer.job.id": f"resp_{job_id.hex}",
        "simmer.event.id": f"evt_{job_id.hex}",
        "simmer.attempt": 1,
        "http.response.status_code": 200,
    }


def test_one_whose_job_was_not_traced_begins_a_trace_that_names_the_job(
    app: Flask,
    container: Container,
    published: list[Mapping[str, str]],
    exporter: InMemorySpanExporter,
    hooked: tuple[str, UUID],
) -> None:
    key, endpoint_id = hooked
    tracer = tracing._tracer
    tracing.turn_on(None)
    job_id = submit(app, key=key)
    run(container, job_id, {})
    tracing.turn_on(tracer)
    deliver(container, endpoint_id)
    (delivery,) = exporter.get_finished_spans()
    assert delivery.parent is None
    assert dict(delivery.attributes or {})["simmer.job.id"] == f"resp_{job_id.hex}"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (fail, {"error.type": "connect_failed"}),
        (lambda: Reply(503, None, b"CANARY", 0.01), {"error.type": "503", "http.response.status_code": 503}),
    ],
)
def test_a_webhook_that_does_not_arrive_is_a_failed_span(
    container: Container,
    exporter: InMemorySpanExporter,
    hooked: tuple[str, UUID],
    reply: Callable[[], Reply],
    said: dict[str, Any],
) -> None:
    event_id = new_id()
    with container.database.transaction() as connection:
        webhook_deliveries.add_test(connection, hooked[1], event_id)
    deliver(container, hooked[1], reply)
    (delivery,) = exporter.get_finished_spans()
    assert (delivery.status.status_code, delivery.status.description) == (StatusCode.ERROR, None)
    assert dict(delivery.attributes or {}) == {"simmer.event.id": f"evt_{event_id.hex}", "simmer.attempt": 1, **said}
    assert "CANARY" not in delivery.to_json()


def test_requests_without_a_trace_begin_one_each(
    app: Flask, published: list[Mapping[str, str]], exporter: InMemorySpanExporter
) -> None:
    submit(app)
    submit(app, traceparent="00-nonsense-01")
    requests = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [span.parent for span in requests] == [None, None]
    assert len({trace_of(span) for span in requests}) == 2
    assert len({message["traceparent"] for message in published}) == 2


def test_each_attempt_has_a_span_and_an_error_says_what_it_was_but_not_its_message(
    app: Flask, container: Container, published: list[Mapping[str, str]], exporter: InMemorySpanExporter
) -> None:
    job_id = submit(app, f"{PROMPT} [[status 503 1]] [[status 400]]")
    run(container, job_id, published[0])
    calls = [span for span in exporter.get_finished_spans() if span.name == "call model"]
    assert calls
    for span in calls:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert str(dict(span.attributes or {})["error.type"]).startswith("upstream_")
    assert [dict(span.attributes or {})["simmer.attempt"] for span in calls] == list(range(1, len(calls) + 1))
    assert not any(span.events for span in exporter.get_finished_spans())


def test_nothing_that_a_client_said_is_in_a_span(
    app: Flask, container: Container, published: list[Mapping[str, str]], exporter: InMemorySpanExporter
) -> None:
    run(container, submit(app), published[0])
    app.test_client().get(f"/CANARY?CANARY={PROMPT}", headers={"Authorization": "Bearer sk-simmer-CANARY"})
    said = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "GET -" in said
    assert "CANARY" not in said
    assert "sk-simmer" not in said


def test_a_model_server_need_not_be_told(
    app: Flask, container: Container, published: list[Mapping[str, str]], upstream: MockUpstream
) -> None:
    tracing.turn_on(tracing._tracer, upstream=False)
    run(container, submit(app), published[0])
    assert "traceparent" not in upstream.calls(PROMPT)[-1].headers


def test_a_collector_that_hangs_holds_nobody_up_at_the_end() -> None:
    class Hanging(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            answered.wait()
            return super().export(spans)

    answered, hanging, provider = threading.Event(), Hanging(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(hanging))
    tracing.turn_on(OpenTelemetryTracer(provider))
    with tracing.span("last"):
        pass
    tracing.flush(0.05)
    assert hanging.get_finished_spans() == ()
    answered.set()
    tracing.flush(30)
    tracing.turn_on(None)
    assert [span.name for span in hanging.get_finished_spans()] == ["last"]


def test_health_and_scrapes_are_not_traced(app: Flask, exporter: InMemorySpanExporter) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        app.test_client().get(path)
    assert exporter.get_finished_spans() == ()
