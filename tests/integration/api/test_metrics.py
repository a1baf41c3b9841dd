"""`/metrics` of an API: what requests leave there, and who may see it."""

from flask import Flask

from app.container import Container
from app.domain.scopes import DEFAULT_SCOPES
from app.factory import create_app
from app.settings import Settings
from tests.integration.api.conftest import URL, Api, refused
from tests.metrics import Samples, read

CANARY = "CANARY"


def scrape(app: Flask) -> Samples:
    # As if a second had passed since the last time.
    app.extensions["metrics"]._rendered = float("-inf"), b""
    return read(app.test_client().get("/metrics").text)


def requests(samples: Samples) -> dict[tuple[str, str, str], float]:
    found = {}
    for (name, labels), value in samples.items():
        if name == "simmer_http_requests_total":
            given = dict(labels)
            found[given["method"], given["route"], given["status"]] = value
    return found


def test_requests_are_counted_by_what_they_were(app: Flask, api: Api) -> None:
    job_id = api.submit()
    for _ in range(2):
        api.ask("GET", f"{URL}/{job_id}")
    api.ask("GET", f"{URL}/resp_{CANARY}")
    api.ask("GET", f"/{CANARY}/{CANARY}?{CANARY}={CANARY}")
    api.ask(CANARY, URL)
    Api(app, f"sk-simmer-{CANARY}").create(model=CANARY)
    samples = scrape(app)
    assert requests(samples) == {
        ("POST", URL, "2xx"): 1,
        ("POST", URL, "4xx"): 1,
        ("GET", f"{URL}/<response_id>", "2xx"): 2,
        ("GET", f"{URL}/<response_id>", "4xx"): 1,
        ("GET", "-", "4xx"): 1,
        ("other", "-", "4xx"): 1,
    }
    codes = {dict(labels)["code"]: n for (name, labels), n in samples.items() if name == "simmer_http_refusals_total"}
    assert codes == {"not_found": 1, "unknown_url": 1, "method_not_allowed": 1, "invalid_api_key": 1}
    text = app.test_client().get("/metrics").text
    assert CANARY not in text
    assert job_id not in text


def test_no_request_in_work_holds_a_connection(app: Flask, api: Api) -> None:
    api.submit()
    samples = scrape(app)
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert samples["simmer_api_requests_in_work", nothing] == 0
    assert samples["simmer_api_database_connections_in_use", nothing] == 0
    assert samples["simmer_api_database_connections", nothing] == 10
    assert samples["simmer_api_rate_limiter_local", nothing] == 0
    with app.extensions["simmer"].database.autocommit():
        assert scrape(app)["simmer_api_database_connections_in_use", nothing] == 1


def test_without_the_broker_each_process_says_that_it_counts_rates_alone(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))
    container: Container = app.extensions["simmer"]
    Api(app, container.keys.create("test", DEFAULT_SCOPES)[1]).submit()
    assert scrape(app)["simmer_api_rate_limiter_local", frozenset()] == 1
    container.database.close()


def test_with_a_token_nobody_else_may_look(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"metrics_token": "t0ken"}))
    wrong: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer other"},
        {"Authorization": "t0ken"},
        {"Authorization": "Bearer \xff"},
    )
    for headers in wrong:
        assert refused(Api(app, None).ask("GET", "/metrics", headers=headers))[::2] == (401, "invalid_api_key")
    right = app.test_client().get("/metrics", headers={"Authorization": "Bearer t0ken"})
    assert right.status_code == 200
    assert right.content_type.startswith("text/plain; version=0.0.4")
    assert "t0ken" not in right.text
