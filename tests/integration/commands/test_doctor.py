"""`simmer doctor` names what is wrong: every kind of fault is planted, and told with its mend."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from app.container import Container
from tests.faults.scene import fake_clock
from tests.integration.commands.doctor_faults import CANARY, FAULTS
from tests.integration.commands.running import SIMMER, Run
from tests.integration.commands.sites import NODES, Site, answering
from tests.upstream.client import MockUpstream


@pytest.fixture
def site(
    run: Run, environment: dict[str, str], container: Container, monkeypatch: pytest.MonkeyPatch,
    upstream: MockUpstream, tmp_path: Any,
) -> Iterator[Site]:  # fmt: skip
    environment["SIMMER_HOME"] = str(tmp_path / "none")
    broker = redis.Redis.from_url(environment["SIMMER_BROKER_URL"])
    made = Site(run, dict(environment), container, monkeypatch, upstream.base_url, broker)
    made.nodes(*NODES)
    made.models()
    yield made
    broker.config_set("maxmemory-policy", "noeviction")
    broker.close()


def examined(site: Site) -> tuple[int, list[dict[str, str]]]:
    done = site.run("doctor", "--json", **site.env)
    assert done.err == ""
    assert CANARY not in done.out
    told = json.loads(done.out)
    levels = [finding["level"] for finding in told["findings"]]
    assert told["ok"] == ("broken" not in levels) == (done.code == 0)
    return done.code, told["findings"]


def test_where_nothing_is_wrong_nothing_is_found(site: Site) -> None:
    _, findings = examined(site)
    assert [finding for finding in findings if finding["level"] != "ok"] == []
    assert len({finding["check"] for finding in findings}) == len(findings) == 14


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_named_with_its_mend(site: Site, kind: str) -> None:
    plant, check, level, said = FAULTS[kind]
    plant(site)
    code, findings = examined(site)
    bad = [finding for finding in findings if finding["level"] in {"warning", "broken"}]
    assert [finding["check"] for finding in bad] == [check], bad
    assert bad[0]["level"] == level
    assert said in bad[0]["message"]
    assert bad[0]["mend"]
    assert code == (1 if level == "broken" else 0)


@pytest.mark.parametrize(
    ("status", "level", "said"),
    [(401, "broken", "refuses the key (status 401)"), (403, "broken", "refuses the key"),
     (503, "warning", "answers with status 503"), (404, "warning", "lists no models (status 404)"),
     (200, "warning", "lists no models")],
)  # fmt: skip
def test_an_upstream_that_answers_otherwise(site: Site, status: int, level: str, said: str) -> None:
    with answering(status) as base_url:
        site.models(base_url=base_url)
        _, findings = examined(site)
    (bad,) = [finding for finding in findings if finding["level"] != "ok"]
    assert (bad["check"], bad["level"]) == ("upstreams", level)
    assert said in bad["message"]
    assert bad["mend"]


def test_a_clock_that_is_wrong_here(site: Site) -> None:
    """In a process of its own, whose clock is ahead of the database's and the broker's."""
    done = subprocess.run(
        [SIMMER, "doctor", "--json"],
        env={**os.environ, **site.env, **fake_clock("+300s")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    bad = [finding["message"] for finding in json.loads(done.stdout)["findings"] if finding["check"] == "clocks"]
    assert len(bad) == 2
    for name, message in zip(("database", "broker"), bad, strict=True):
        assert message.startswith(("This machine's clock is 5m0", "This machine's clock is 4m5"))
        assert f"ahead of the {name}'s" in message


def test_people_see_marks_and_mends(site: Site) -> None:
    site.nodes(*NODES[1:])
    done = site.run("doctor", **site.env)
    assert done.code == 1
    assert "\nBROKEN   beat         Beat does not answer" in done.out
    assert "\n                      -> Start one: celery -A workers.celery_app beat." in done.out
    assert done.out.endswith("\n1 broken, 0 warnings.\n")
    assert "\x1b" not in done.out
    site.nodes(*NODES)
    assert site.run("doctor", **site.env).out.endswith("\nAll is well.\n")
