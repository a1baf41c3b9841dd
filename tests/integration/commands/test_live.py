"""The commands against everything that runs: API, workers, beat, a model server."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.commands.api_client import ApiClient
from app.container import Container
from app.settings import Settings
from tests.cluster import Client, Cluster, environment
from tests.conftest import fresh_broker, fresh_database, write_models
from tests.integration.commands.running import Run, Terminal, runner
from tests.processes import free_port, wait_until
from tests.upstream.client import MockUpstream


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, valkey: str, upstream_server: MockUpstream
) -> Iterator[Cluster]:
    """Everything but the API and the webhook worker."""
    folder = tmp_path_factory.mktemp("commands")
    with fresh_database(postgres) as database_url:
        env = environment(database_url, fresh_broker(valkey), write_models(folder, upstream_server))
        with Cluster(folder, env) as made:
            made.worker(queue="sync,priority,default,flex", concurrency=20)
            made.system()
            yield made


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    parts = Container(Settings(database_url=cluster.env["SIMMER_DATABASE_URL"]))
    return Client(cluster.api(), parts.keys.create("live", ["responses:write", "responses:read"])[1])


@pytest.fixture
def environment_of_it(cluster: Cluster, client: Client) -> dict[str, str]:
    return {**cluster.env, "SIMMER_API_URL": client.url, "SIMMER_API_KEY": client.key}


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], environment_of_it: dict[str, str]) -> Run:
    return runner(monkeypatch, capfd, environment_of_it)


def test_submit_prints_the_id(live: Run, client: Client) -> None:
    done = live("submit", "an id", "--model", "gpt-4.1", "--metadata", "ticket=7", "--tier", "priority")
    assert (done.code, done.err) == (0, "")
    job = client.wait(done.out.strip(), "completed")
    assert job["metadata"] == {"ticket": "7"}
    told = json.loads(live("jobs", "show", job["id"], "--json").out)
    assert (told["queue"], told["key"]["name"], told["status"]) == ("priority", "live", "completed")
    created = json.loads(live("submit", "an object", "--model", "gpt-4.1", "--json").out)
    assert (created["status"], created["background"]) == ("queued", True)


def test_submit_waits_and_prints_the_answer(live: Run) -> None:
    done = live("submit", "a wait", "--model", "gpt-4.1", "--wait")
    assert (done.code, done.out) == (0, "echo: a wait\n")
    assert "completed after" in done.err
    response = json.loads(live("submit", "as JSON", "--model", "gpt-4.1", "--wait", "--json").out)
    assert (response["status"], response["output"][0]["content"][0]["text"]) == ("completed", "echo: as JSON")


def test_submit_twice_with_one_key_is_one_response(live: Run) -> None:
    again = ["submit", "once", "--model", "gpt-4.1", "--idempotency-key", "a-key", "--metadata", "n=1"]
    assert live(*again).out == live(*again).out


def test_submit_tells_of_a_failure_and_of_a_refusal(live: Run) -> None:
    failed = live("submit", "[[status 400]]", "--model", "gpt-4.1", "--wait")
    assert (failed.code, failed.out) == (3, "")
    assert "The model server refused the request" in failed.err
    wrong = live("submit", "x", "--model", "gpt-4.1", SIMMER_API_KEY="sk-simmer-wrong")
    assert (wrong.code, wrong.out) == (1, "")
    assert "(status 401)" in wrong.err
    down = live("submit", "x", "--model", "gpt-4.1", SIMMER_API_URL=f"http://127.0.0.1:{free_port()}")
    assert down.code == 1
    assert "The API does not answer. Check SIMMER_API_URL" in down.err


def test_submit_finds_the_running_stack(live: Run, client: Client, tmp_path: Path) -> None:
    nobody = {"SIMMER_API_URL": "", "SIMMER_API_KEY": "", "SIMMER_HOME": str(tmp_path)}
    assert "or run `simmer up` in this folder" in live("submit", "x", **nobody).err
    (tmp_path / "run.json").write_text(json.dumps({"api_url": client.url, "api_key": client.key}))
    assert live("submit", "x", "--wait", "--model", "gpt-4.1").out == "echo: x\n"
    elsewhere = live("submit", "x", SIMMER_API_URL="http://127.0.0.1:9")
    assert "Set SIMMER_API_URL and SIMMER_API_KEY" in elsewhere.err, "the local key must not go to another host"


def test_submit_stops_waiting_and_the_job_goes_on(live: Run, client: Client, upstream: MockUpstream) -> None:
    done = live("submit", "[[gate later]] patience", "--model", "gpt-4.1", "--wait", "--timeout", "1.5")
    assert done.code == 4
    job_id = done.err.partition("simmer jobs tail ")[2].split("`")[0]
    upstream.open_gate("later")
    assert client.wait(job_id, "completed")


def test_submit_shows_the_place_in_the_queue(cluster: Cluster, environment_of_it: dict[str, str]) -> None:
    worker = cluster.started("jobs")
    worker.freeze()
    try:
        command = ["submit", "my turn", "--model", "gpt-4.1", "--wait"]
        with Terminal(*command, environment=environment_of_it) as terminal:
            terminal.until("queued, place 1  ")
            worker.resume()
            assert terminal.ended() == 0
    finally:
        worker.resume()
    assert "echo: my turn" in terminal.text


def test_a_stream_that_drops_is_taken_up_again(
    live: Run, cluster: Cluster, client: Client, upstream: MockUpstream, environment_of_it: dict[str, str]
) -> None:
    port = free_port()
    url = cluster.api(name="fragile", port=port)
    command = ["simmer", "submit", "dropped [[tokens 60 rate=12]]", "--model", "gpt-4.1", "--wait"]
    started = cluster.start("submit", command, {**environment_of_it, "SIMMER_API_URL": url})
    wait_until(started.output, 30, "the answer begins")
    cluster.started("fragile").power_off()
    cluster.api(name="fragile", port=port)
    assert started.wait(60) == 0
    answer, told = started.output().splitlines()
    job = client.request("GET", f"/v1/responses/{told.split()[0]}").json
    assert [part["text"] for message in job["output"] for part in message["content"]] == [answer]
    assert len(upstream.calls("dropped")) == 1


def test_ctrl_c_leaves_the_job_alone(client: Client, environment_of_it: dict[str, str], upstream: MockUpstream) -> None:
    command = ["submit", "[[gate c]] go on", "--model", "gpt-4.1", "--wait"]
    with Terminal(*command, environment=environment_of_it) as terminal:
        upstream.wait_for_call("go on", 30)
        terminal.until("in progress  ")
        terminal.press(b"\x03")
        assert terminal.ended() == 130
    job_id = terminal.text.rpartition("simmer jobs tail ")[2].split("`")[0]
    with Terminal("jobs", "tail", job_id, environment=environment_of_it) as tail:
        tail.until("in_progress, attempt 1 of 4 at jobs@local")
        tail.press(b"\x03")
        assert tail.ended() == 130
    assert "Traceback" not in terminal.text + tail.text
    upstream.open_gate("c")
    assert client.wait(job_id, "completed")


@pytest.mark.parametrize("stream", [True, False])
def test_tail_follows_to_the_end(
    live: Run, cluster: Cluster, client: Client, upstream: MockUpstream, stream: bool
) -> None:
    prompt = f"tail [[gate tail-{stream}]] me"
    job_id = _streamed(client, prompt) if stream else client.submit(prompt)
    env = {name: value for name, value in cluster.env.items() if name.startswith("SIMMER_")}
    tail = cluster.start("tail", ["simmer", "jobs", "tail", job_id], env)
    tail.wait_log("in_progress", 30)
    upstream.open_gate(f"tail-{stream}")
    assert tail.wait(30) == 0
    assert "echo: tail  me\n" in tail.output()
    assert f"{job_id} completed after" in tail.output()
    events = [json.loads(line) for line in live("jobs", "tail", job_id, "--json").out.splitlines()]
    assert events[-1]["status"] == "completed"
    assert any(event["type"] == "response.output_text.delta" for event in events) == stream


def _streamed(client: Client, prompt: str) -> str:
    """The id of a background stream whose reader has left."""
    events = ApiClient(client.url, client.key).follow(
        {"model": "gpt-4.1", "input": prompt, "background": True, "stream": True}
    )
    return str(next(events)["response"]["id"])


def test_requeue_starts_a_running_job_over(live: Run, client: Client, upstream: MockUpstream) -> None:
    job_id = client.submit("[[gate again]] start over")
    upstream.wait_for_call("start over", 30)
    assert live("jobs", "requeue", job_id).out.startswith(f"{job_id}  taken from jobs@local, queued")
    # Though it is the same worker that takes the job anew, it lets go of the first try.
    upstream.wait_closed("start over", 30)
    wait_until(lambda: client.get(job_id)["attempts"] == 2, 30, "the second attempt")
    upstream.open_gate("again")
    assert client.wait(job_id, "completed")["attempts"] == 2
    assert [call.ended for call in upstream.calls("start over")] == ["client_closed", "answered"]


def test_queue_shows_who_works(live: Run, client: Client, upstream: MockUpstream) -> None:
    job_id = client.submit("[[gate shown]] show me")
    client.wait(job_id, "in_progress")
    told = json.loads(live("queue", "--json").out)
    assert told["trouble"] == []
    queues = {queue["queue"]: queue for queue in told["queues"]}
    assert (queues["default"]["running"], queues["default"]["workers"], queues["webhooks"]["workers"]) == (1, 1, 0)
    (jobs, system) = told["workers"]
    assert (jobs["name"], jobs["running"], jobs["slots"]) == ("jobs@local", 1, 20)
    assert (system["name"], system["queues"]) == ("system@local", ["system"])
    assert len(told["beats"]) == 1
    shown = live("queue").out
    assert "0 queued, 1 running, beat answers" in shown
    assert "\x1b" not in shown
    upstream.open_gate("shown")
    client.wait(job_id, "completed")


def test_queue_says_what_does_not_answer(live: Run) -> None:
    told = json.loads(live("queue", "--json", SIMMER_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0").out)
    assert told["trouble"] == ["The broker does not answer. Check that it runs."]
    assert told["queues"][2]["queued"] == 0
    assert told["queues"][2]["messages"] is None
    no_database = live("queue", "--once", SIMMER_DATABASE_URL=f"postgresql://u@127.0.0.1:{free_port()}/x")
    assert "! The database is not available" in no_database.out


def test_queue_is_live_in_a_terminal(environment_of_it: dict[str, str]) -> None:
    with Terminal("queue", "--interval", "0.5", environment=environment_of_it) as terminal:
        terminal.until("jobs@local")
        terminal.until("\x1b[H", times=4)
        terminal.press(b"\x03")
        assert terminal.ended() == 130
    assert terminal.text.count("\x1b[?1049h") == terminal.text.count("\x1b[?1049l") == 1
    assert "\x1b[?25h" in terminal.text


def test_doctor_asks_the_real_nodes(live: Run, cluster: Cluster) -> None:
    before = _bad(live)
    assert [finding["check"] for finding in before] == ["upstreams", "workers"], before
    assert "`webhooks`" in before[1]["message"]
    other = cluster.worker("other", queue="celery", app="tests.integration.commands.other_app", pool="threads")
    (limits,) = [finding for finding in _bad(live) if finding["check"] == "limits"]
    assert limits["level"] == "broken"
    assert "other@local shares the broker, and its visibility timeout is 60 s" in limits["message"]
    other.stop()
    cluster.started("beat").kill(signal.SIGKILL)
    assert [finding["check"] for finding in _bad(live)] == ["upstreams", "workers", "beat"]


def _bad(live: Run) -> list[dict[str, Any]]:
    told = json.loads(live("doctor", "--json").out)
    return [finding for finding in told["findings"] if finding["level"] in {"warning", "broken"}]
