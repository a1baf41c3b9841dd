"""Metrics and traces of real processes: two API processes, a worker, the sweep, the exporter, a collector of traces."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
import yaml

from app.container import Container
from app.settings import Settings
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.metrics import Samples, named_in, read
from tests.otlp import Collector
from tests.processes import Process, free_port, wait_until
from tests.upstream.client import MockUpstream

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0
SCOPES = ["responses:read", "responses:write"]
CREATE = "/v1/model/response"


@dataclass
class Site:
    """What runs, and where it is asked."""

    cluster: Cluster
    client: Client
    collector: Collector
    exporter_url: str

    def api(self) -> Samples:
        return _scrape(self.client.url)

    def exporter(self) -> Samples:
        return _scrape(self.exporter_url)

    def start_exporter(self) -> Process:
        port = self.exporter_url.rpartition(":")[2]
        process = self.cluster.start("exporter", ["simmer", "exporter", "--port", port, "--interval", "0.2"])
        process.wait_log("Listening at", DEADLINE)
        return process


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("metrics")
    models = write_models(folder, upstream_server)
    with fresh_database(postgres) as database_url, Collector() as collector:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        env = environment(database_url, fresh_broker(valkey), models, **tracing)
        with Cluster(folder, env) as cluster:
            cluster.worker()
            cluster.system()
            key = Container(Settings(database_url=database_url)).keys.create("metrics", SCOPES)[1]
            client = Client(cluster.api(processes=2), key)
            made = Site(cluster, client, collector, f"http://127.0.0.1:{free_port()}")
            made.start_exporter()
            yield made


def _scrape(url: str) -> Samples:
    with urlopen(f"{url}/metrics", timeout=DEADLINE) as reply:
        return read(reply.read().decode())


def _sum(samples: Samples, name: str, **labels: str) -> float:
    return sum(
        value for (found, own), value in samples.items() if found == name and labels.items() <= dict(own).items()
    )


def _names(samples: Samples) -> set[str]:
    return {name for name, _ in samples}


def _creates(site: Site) -> float:
    return _sum(site.api(), "simmer_http_requests_total", route=CREATE, method="POST", status="2xx")


def _ended(site: Site, outcome: str) -> float:
    return _sum(site.exporter(), "simmer_jobs_ended_total", outcome=outcome)


def _processes(site: Site) -> list[psutil.Process]:
    return psutil.Process(site.cluster.started("api").pid).children()


def _folder(process: psutil.Process) -> Path:
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    found = re.search(r"(/\S*/simmer-metrics-\w+)/", maps)
    assert found, maps
    return Path(found[1])


def test_a_killed_process_takes_no_count_with_it_and_leaves_no_file(site: Site) -> None:
    before = _creates(site)
    for number in range(20):
        site.client.submit(f"metrics {number}")
    wait_until(lambda: _creates(site) == before + 20, DEADLINE, "all creates are counted")
    wait_until(lambda: _sum(site.api(), "simmer_api_processes") == 2, DEADLINE, "two processes")
    victim = _processes(site)[0]
    folder = _folder(victim)
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: victim.pid not in {process.pid for process in _processes(site)}, DEADLINE, "it is gone")
    wait_until(lambda: _sum(site.api(), "simmer_api_processes") == 2, DEADLINE, "another in its place")
    # The process that was not killed may answer for a moment with what it had gathered before.
    wait_until(lambda: _creates(site) == before + 20, DEADLINE, "the count is kept")
    wait_until(lambda: not list(folder.glob(f"*_{victim.pid}.db")), DEADLINE, "its files are gone")
    site.client.submit("one more")
    wait_until(lambda: _creates(site) == before + 21, DEADLINE, "one more")


@pytest.mark.parametrize(
    ("head", "code"), [("NONSENSE", "invalid_http"), (f"GET /{'x' * 10_000} HTTP/1.1", "uri_too_long")]
)
def test_what_gunicorn_itself_refuses_is_counted(site: Site, head: str, code: str) -> None:
    def refused() -> float:
        return _sum(site.api(), "simmer_http_refusals_total", code=code)

    before = refused()
    where = urlsplit(site.client.url)
    with socket.create_connection((where.hostname, where.port), DEADLINE) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(9) == b"HTTP/1.1 "
    wait_until(lambda: refused() == before + 1, DEADLINE, "the refusal is counted")


def test_the_folder_goes_with_gunicorn(site: Site) -> None:
    site.cluster.api(1, name="other")
    other = site.cluster.started("other")
    folder = _folder(psutil.Process(other.pid).children()[0])
    assert folder.exists()
    assert other.stop() == 0
    assert not folder.exists()


def test_a_reloaded_gunicorn_counts_on(site: Site) -> None:
    before = _creates(site)
    old = {process.pid for process in _processes(site)}
    site.cluster.started("api").kill(signal.SIGHUP)
    wait_until(lambda: not old & {process.pid for process in _processes(site)}, DEADLINE, "the old ones are gone")
    site.client.submit("after the reload")
    wait_until(lambda: _creates(site) == before + 1, DEADLINE, "counts go on")


def test_the_exporter_tells_of_ended_jobs_and_goes_on_after_a_kill(site: Site, upstream: MockUpstream) -> None:
    completed, refused = _ended(site, "completed"), _ended(site, "invalid_prompt")
    for text in ("one", "two", "three"):
        site.client.wait(site.client.submit(text), "completed")
    wait_until(lambda: _ended(site, "completed") >= completed + 3, DEADLINE, "completed jobs are counted")
    held = site.client.submit("held [[gate metrics]]")
    site.client.wait(held, "in_progress")
    wait_until(lambda: _sum(site.exporter(), "simmer_jobs", status="in_progress") == 1, DEADLINE, "one runs")
    upstream.open_gate("metrics")
    site.client.wait(held, "completed")
    counted = _ended(site, "completed")
    site.cluster.started("exporter").kill(signal.SIGKILL)
    site.client.wait(site.client.submit("while nobody looks"), "completed")
    site.start_exporter()
    wait_until(lambda: _ended(site, "completed") > counted, DEADLINE, "what ended meanwhile is counted")
    samples = site.exporter()
    assert _ended(site, "invalid_prompt") == refused
    assert _sum(samples, "simmer_upstream_calls_total") >= _ended(site, "completed")
    assert _sum(samples, "simmer_job_run_seconds_count") == _sum(samples, "simmer_jobs_ended_total")
    assert _sum(samples, "simmer_tokens_total", direction="output") > 0
    assert _sum(samples, "simmer_chore_age_seconds", chore="sweep") < DEADLINE
    assert {dict(own)["model"] for (_, own) in samples if "model" in dict(own)} == {"*"}


def test_every_metric_of_dashboard_and_alerts_is_exported_by_what_runs(site: Site) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/simmer.json").read_text())
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    named = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in named_in(target["expr"])
    }
    named |= {name for group in alerts["groups"] for rule in group["rules"] for name in named_in(rule["expr"])}
    site.client.request("GET", f"{CREATE}/resp_1")
    site.client.wait(site.client.submit("something"), "completed")
    wait_until(
        lambda: named - {"up"} <= _names(site.api()) | _names(site.exporter()),
        DEADLINE,
        "all that is named is exported",
    )


def test_a_prefork_child_traces_its_first_job_and_sends_its_last_spans(site: Site) -> None:
    site.cluster.started("jobs").stop()
    # So long that nothing is sent but at the end.
    worker = site.cluster.worker("last", pool="prefork", concurrency=1, OTEL_BSP_SCHEDULE_DELAY="600000")
    job_id = site.client.submit("first and last")
    site.client.wait(job_id, "completed")
    assert worker.stop() == 0
    site.cluster.worker()
    assert job_id in [span.attributes["simmer.job.id"] for span in site.collector.named("run job")]


def test_a_trace_leads_through_all_processes(site: Site, upstream: MockUpstream) -> None:
    since = upstream.stats().total
    job_id = site.client.submit("CANARY traced")
    site.client.wait(job_id, "completed")

    def whole() -> bool:
        return any(span.attributes.get("simmer.job.id") == job_id for span in site.collector.named("run job"))

    wait_until(whole, DEADLINE, "the job's spans have come")
    job = next(span for span in site.collector.named("run job") if span.attributes["simmer.job.id"] == job_id)
    wait_until(
        lambda: {"settle", "publish"} <= {span.name for span in site.collector.spans if span.trace == job.trace},
        DEADLINE,
        "all spans of the trace have come",
    )
    spans = {span.name: span for span in site.collector.spans if span.trace == job.trace}
    assert set(spans) == {f"POST {CREATE}", "publish", "run job", "claim", "call model", "settle"}
    assert spans[f"POST {CREATE}"].parent == ""
    assert spans["publish"].parent == spans[f"POST {CREATE}"].id
    assert job.parent == spans["publish"].id
    assert {spans[name].parent for name in ("claim", "call model", "settle")} == {job.id}
    assert {spans["publish"].service, job.service} == {"simmer-api", "simmer-worker"}
    call = upstream.calls("CANARY traced", since)[0]
    assert call.headers["traceparent"].startswith(f"00-{job.trace}-{spans['call model'].id}-")
    assert not any(b"CANARY" in body or site.client.key.encode() in body for body in site.collector.bodies)
