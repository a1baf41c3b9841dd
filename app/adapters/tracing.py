"""Traces, turned on by OpenTelemetry's usual variables; without them its SDK is not even imported.

OTEL_TRACES_EXPORTER, the endpoints of OTLP and OTEL_SDK_DISABLED are looked at here. The SDK itself reads the rest.
"""

import logging
from importlib import import_module

from app.domain import tracing
from app.settings import Settings, read_secret

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_KNOWN = {"otlp", "console"}


def start(settings: Settings, part: str) -> None:
    """Trace this process, if the environment says so. Call it after a fork: spans leave through a thread.

    `part` names the service if no variable does.
    """
    exporters = _wanted()
    if exporters and not tracing.is_on():
        named = read_secret("OTEL_SERVICE_NAME") or "service.name=" in (read_secret("OTEL_RESOURCE_ATTRIBUTES") or "")
        tracer = import_module("app.adapters.otel").exporting(exporters, None if named else f"simmer-{part}")
        tracing.turn_on(tracer, upstream=settings.trace_upstream)
        log.info("traces are exported", extra={"fields": {"exporters": ",".join(sorted(exporters))}})


def _wanted() -> set[str]:
    """The exporters to use; none if traces are off."""
    if (read_secret("OTEL_SDK_DISABLED") or "").strip().lower() == "true":
        return set()
    named = read_secret("OTEL_TRACES_EXPORTER")
    if named is None:
        return {"otlp"} if any(map(read_secret, _ENDPOINTS)) else set()
    wanted = {name.strip() for name in named.split(",")} - {"none", ""}
    if wanted - _KNOWN:
        log.warning("OTEL_TRACES_EXPORTER names an exporter that Simmer has not: use otlp or console")
    return wanted & _KNOWN
