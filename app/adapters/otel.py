"""Spans by OpenTelemetry's SDK, which takes 0.2 s and some MB: only processes that trace import this."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.domain.tracing import Attribute, Kind

_PROPAGATOR = TraceContextTextMapPropagator()


class OpenTelemetryTracer:
    """A Tracer. Its provider is its own: what else in this process uses OpenTelemetry stays apart."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make spans with the provider, which says where they go."""
        self._provider = provider
        self._tracer = provider.get_tracer("simmer")

    @contextmanager
    def span(self, name: str, kind: Kind, attributes: Mapping[str, Attribute]) -> Iterator[object]:
        """As Tracer has it."""
        opened = self._tracer.start_span(name, kind=trace.SpanKind[kind.upper()], attributes=dict(attributes))
        # The SDK would note the error's message, which may quote a prompt.
        with trace.use_span(opened, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield opened
            except BaseException as error:
                opened.set_attribute("error.type", str(getattr(error, "failure", type(error).__name__)))
                opened.set_status(trace.StatusCode.ERROR)
                raise

    def note(self, name: str | None, attributes: Mapping[str, Attribute]) -> None:
        """As Tracer has it."""
        opened = trace.get_current_span()
        if name:
            opened.update_name(name)
        opened.set_attributes(dict(attributes))
        if "error.type" in attributes:
            opened.set_status(trace.StatusCode.ERROR)

    def carrier(self) -> dict[str, str]:
        """As Tracer has it."""
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers)
        return headers

    @contextmanager
    def continued(self, carrier: Mapping[str, str]) -> Iterator[object]:
        """As Tracer has it."""
        token = context.attach(_PROPAGATOR.extract(dict(carrier), context=context.Context()))
        try:
            yield None
        finally:
            context.detach(token)

    def flush(self, seconds: float) -> None:
        """As Tracer has it."""
        # In a thread: the SDK takes as long as the collector does, whatever it is told.
        sending = threading.Thread(target=self._provider.force_flush, name="last spans", daemon=True)
        sending.start()
        sending.join(seconds)


def exporting(exporters: set[str], service: str | None) -> OpenTelemetryTracer:
    """A tracer whose spans go to `otlp`, `console` or both."""
    provider = TracerProvider(resource=Resource.create({"service.name": service} if service else {}))
    if "otlp" in exporters:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if "console" in exporters:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    return OpenTelemetryTracer(provider)
