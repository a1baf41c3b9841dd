"""The Flask application."""

from flask import Flask

from app.adapters import tracing
from app.adapters.metrics import ApiMetrics
from app.api import context, errors, metrics, ops
from app.api.backpressure import Backpressure, Gate
from app.api.docs import routes as docs
from app.api.exchange import Exchanges
from app.api.freddy import routes as freddy
from app.api.json_provider import JsonProvider
from app.api.openai import routes as openai
from app.api.openapi import routes as openapi
from app.api.polls import Polls
from app.api.request_log import RequestLog
from app.api.tracing import Traced
from app.api.webhooks import routes as webhooks
from app.container import Container
from app.domain.tracing import is_on
from app.logs import configure
from app.settings import Settings, load_settings
from app.ui import routes as ui


def create_app(settings: Settings | None = None) -> Flask:
    """Build the API from `settings`, or from the environment. Raises ConfigurationError if something is wrong."""
    settings = settings or load_settings()
    settings.require("database_url", "broker_url", "models")
    configure(settings)
    container = Container(settings)
    # Read now: a wrong models file must stop the start, not the first request.
    _ = container.catalog
    container.preload()
    app = Flask("simmer", static_folder=None)
    # One more than is allowed: `api.body` tells a body that was cut off at the maximum by its length.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    # Flask would answer OPTIONS by itself, without a key.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json = JsonProvider(app)
    app.url_map.strict_slashes = False
    # Werkzeug would answer `//` with a redirect, in HTML.
    app.url_map.merge_slashes = False
    app.extensions["simmer"] = container
    counted = app.extensions["metrics"] = ApiMetrics()
    app.extensions["request_log"] = RequestLog()
    gate = Gate(settings.max_concurrent_requests)
    metrics.register(counted, container, gate)
    errors.register(app)
    context.register(app)
    for routes in (freddy, openai, webhooks, ops, metrics, openapi, docs, ui):
        app.register_blueprint(routes.blueprint)
    dialects = {"/v1/model/response": freddy.FREDDY, "/v1/responses": openai.OPENAI}
    polls = Polls(app.wsgi_app, container, dialects)
    exchanges = Exchanges(polls, counted, app.extensions["request_log"])
    app.wsgi_app = Backpressure(exchanges, gate, counted.refused)  # type: ignore[method-assign]
    tracing.start(settings, "api")
    if is_on():
        app.wsgi_app = Traced(app.wsgi_app)  # type: ignore[method-assign]
    return app
