"""`simmer jobs` on rows: what it shows of whom, and what its cancel and requeue do to them."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.adapters.queue import CeleryDispatcher
from app.container import Container
from app.db.models import ApiKey
from app.domain.ids import new_id, public_id
from app.domain.lifecycle import Status
from app.services import batches
from tests import rows
from tests.integration.commands.running import Run, Terminal
from tests.processes import free_port

CANARY = "canary-77e2"
EVIL = "a\x1b[31mb\u202ec\nd\x9b"
SHOWN = "a\\x1b[31mb\\u202ec\\nd\\x9b"


@pytest.fixture
def put(container: Container, api_key_id: UUID) -> Any:
    """Puts a job into the table; returns its UUID."""

    def inserted(status: Status, **columns: Any) -> UUID:
        with container.database.transaction() as connection:
            return rows.put(connection, api_key_id, status, **columns)

    return inserted


def row(container: Container, job_id: UUID) -> Any:
    with container.database.transaction() as connection:
        return rows.row(connection, job_id)


def secret(prompt: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": prompt}]
    return {"inputs": [{"type": "message", "role": "user", "content": content}]}


def listed(run: Run, *arguments: str) -> list[str]:
    done = run("jobs", "list", "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    return [job["id"] for job in json.loads(done.out)]


def test_jobs_of_all_keys_are_listed_newest_first(run: Run, put: Any, container: Container, api_key_id: UUID) -> None:
    first = put(Status.COMPLETED)
    with container.database.transaction() as connection:
        foreign = rows.put(connection, rows.add_owner(connection), Status.FAILED, model="other", queue="flex")
    running = put(Status.IN_PROGRESS, worker="jobs@b")
    every = [public_id(job_id) for job_id in (running, foreign, first)]
    assert listed(run) == every
    assert listed(run, "--limit", "2") == every[:2]
    assert listed(run, "--before", every[1]) == every[2:]
    assert listed(run, "--status", "failed") == listed(run, "--model", "other") == listed(run, "--queue", "flex")
    assert listed(run, "--status", "failed") == [every[1]]
    assert listed(run, "--worker", "jobs@b") == [every[0]]
    assert listed(run, "--key", str(api_key_id)) == [every[0], every[2]]


def test_where_it_is_no_terminal_a_line_is_a_job_and_nothing_is_cut(run: Run, put: Any) -> None:
    long = "m" * 300
    job_id = put(Status.FAILED, model=long)
    done = run("jobs", "list", FORCE_COLOR="1", COLUMNS="40")
    head, line = done.out.splitlines()
    assert head.split() == ["ID", "STATUS", "MODEL", "AGE", "RAN", "TRY", "QUEUE", "WORKER", "ERROR", "KEY"]
    assert line.split()[:3] == [public_id(job_id), "failed", long]
    assert "\x1b" not in done.out
    assert [line for line in done.out.splitlines() if line != line.rstrip()] == []


def test_neither_prompts_nor_results_are_shown_unasked(run: Run, put: Any) -> None:
    answer = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"{CANARY} two"}]}]
    job_id = public_id(put(Status.COMPLETED, inputs=secret(f"{CANARY} one"), output=answer))
    for arguments in (["list"], ["list", "--json"], ["show", job_id], ["show", job_id, "--json"]):
        done = run("jobs", *arguments)
        assert done.code == 0
        assert CANARY not in done.out + done.err
    shown = run("jobs", "show", job_id, "--content").out
    assert f"INPUT user\n{CANARY} one\n" in shown
    assert f"OUTPUT assistant\n{CANARY} two\n" in shown
    told = json.loads(run("jobs", "show", job_id, "--content", "--json").out)
    assert told["output"] == answer
    assert told["input"] == secret(f"{CANARY} one")


def test_what_could_steer_a_terminal_is_spelled_out(run: Run, put: Any, container: Container) -> None:
    with container.database.transaction() as connection:
        owner = rows.add_owner(connection)
        connection.execute(update(ApiKey).where(ApiKey.id == owner).values(name=EVIL))
        job_id = rows.put(connection, owner, Status.QUEUED, model=EVIL, metadata_={EVIL: EVIL}, inputs=secret(EVIL))
    for arguments in (["list"], ["show", public_id(job_id)]):
        done = run("jobs", *arguments)
        assert SHOWN in done.out
        assert not set("\x1b\u202e\x9b") & set(done.out)
    content = run("jobs", "show", public_id(job_id), "--content").out
    assert "a\\x1b[31mb\\u202ec\nd\\x9b\n" in content
    assert json.loads(run("jobs", "show", public_id(job_id), "--json").out)["metadata"] == {EVIL: EVIL}


def test_show_tells_the_times_and_the_place(run: Run, put: Any) -> None:
    put(Status.QUEUED)
    told = run("jobs", "show", public_id(put(Status.QUEUED))).out
    assert "queued, place 2" in told
    assert "start by" in told
    failed = run("jobs", "show", public_id(put(Status.FAILED))).out
    assert "server_error: Something went wrong." in failed
    assert "start by" not in failed


@pytest.mark.parametrize("status", [Status.QUEUED, Status.IN_PROGRESS])
def test_cancel_ends_anybodys_job(
    run: Run, put: Any, container: Container, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    told: list[tuple[UUID, str]] = []
    monkeypatch.setattr(CeleryDispatcher, "abort", lambda _, *job: told.append(job))
    job_id = put(status, background=False)
    for _ in range(2):
        done = run("jobs", "cancel", public_id(job_id))
        assert done == (0, f"{public_id(job_id)}  cancelled\n", "")
    assert row(container, job_id).status == "cancelled"
    assert told == ([(job_id, "jobs@test")] if status is Status.IN_PROGRESS else [])


def test_cancel_does_what_it_can(run: Run, put: Any) -> None:
    ended, queued = public_id(put(Status.COMPLETED)), public_id(put(Status.QUEUED))
    done = run("jobs", "cancel", ended, queued, public_id(new_id()), "--json")
    assert done.code == 1
    assert [job["id"] for job in json.loads(done.out)] == [queued]
    assert f"Error: {ended}: The job is completed, which is final" in done.err
    assert "There is no such job" in done.err


def test_requeue_takes_a_running_job_from_its_worker(run: Run, put: Any, container: Container) -> None:
    job_id = put(Status.IN_PROGRESS)
    done = run("jobs", "requeue", public_id(job_id), SIMMER_HEARTBEAT_INTERVAL=20)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{public_id(job_id)}  taken from jobs@test, queued")
    now = row(container, job_id)
    assert (now.status, now.attempt, now.worker, now.lease_expires_at) == ("queued", 1, None, None)
    # Its worker might take it anew before it has noticed.
    assert container.dispatcher.backlog("default") == 0
    with container.database.transaction() as connection:
        assert 15 < connection.scalar(text("SELECT extract(epoch FROM redispatch_at - now()) FROM jobs")) <= 21


def test_requeue_sends_a_queued_jobs_message_again(run: Run, put: Any, container: Container) -> None:
    job_id = put(Status.QUEUED, redispatch_at=rows.EARLIER)
    (told,) = json.loads(run("jobs", "requeue", public_id(job_id), "--json").out)
    assert (told["status"], told["dispatches"], told["sent"]) == ("queued", 1, True)
    assert container.dispatcher.backlog("default") == 1
    assert row(container, job_id).redispatch_at > row(container, job_id).created_at


def test_requeue_without_a_broker_leaves_it_to_the_sweep(run: Run, put: Any, container: Container) -> None:
    job_id = put(Status.QUEUED)
    done = run("jobs", "requeue", public_id(job_id), SIMMER_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.code == 0
    assert "the sweep will send its message" in done.out
    assert row(container, job_id).status == "queued"


REFUSED: dict[str, tuple[Status, dict[str, Any], str]] = {
    "ended": (Status.FAILED, {}, "failed, which is final. To run it again its owner submits the request as a new job"),
    "in its last attempt": (Status.IN_PROGRESS, {"attempt": 4}, "in its last attempt"),
    "read already": (Status.IN_PROGRESS, {"stream": True, "streamed": True}, "A reader may have seen output"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_requeued_stays_as_it_is(run: Run, put: Any, container: Container, kind: str) -> None:
    status, columns, said = REFUSED[kind]
    job_id = put(status, **columns)
    with container.database.transaction() as connection:
        before = rows.image(connection, job_id)
    done = run("jobs", "requeue", public_id(job_id))
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    with container.database.transaction() as connection:
        assert rows.image(connection, job_id) == before
    assert container.dispatcher.backlog("default") == 0


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(Status.COMPLETED, 0, "completed after"), (Status.FAILED, 3, "server_error. Something went wrong."),
     (Status.CANCELLED, 3, "cancelled after")],
)  # fmt: skip
def test_tail_of_a_job_that_has_ended(run: Run, put: Any, status: Status, code: int, said: str) -> None:
    output = [{"type": "message", "content": [{"type": "output_text", "text": "the answer\x1b"}]}]
    job_id = put(status, **({"output": output} if status is Status.COMPLETED else {}))
    done = run("jobs", "tail", public_id(job_id))
    assert done.code == code
    assert said in done.err
    assert done.out == ("the answer\\x1b\n" if status is Status.COMPLETED else "")


@pytest.mark.parametrize("action", ["show", "cancel", "requeue", "tail"])
def test_a_job_that_is_not_there(run: Run, action: str) -> None:
    done = run("jobs", action, public_id(new_id()))
    assert (done.code, done.out) == (1, "")
    assert "There is no such job" in done.err
    wrong = run("jobs", action, CANARY)
    assert wrong.code == 2
    assert CANARY not in wrong.err


def test_purge_says_what_it_would_delete_and_deletes_it(
    run: Run, put: Any, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A purge leaves the rest to the next one after a single batch.
    monkeypatch.setattr(batches, "TIME_BUDGET", 0)
    for _ in range(5):
        put(Status.COMPLETED, ended_at=rows.EARLIER, expires_at=rows.EARLIER)
    kept = put(Status.COMPLETED)
    assert "Would delete 5 results that have expired, the first of them 1h00m ago." in run("purge", "--dry-run").out
    assert json.loads(run("purge", "--dry-run", "--json").out)["would_delete"] == 5
    assert json.loads(run("purge", "--json", SIMMER_PURGE_BATCH=2).out) == {"deleted": 5}
    assert run("purge").out == "Deleted 0 results that had expired.\n"
    assert row(container, kept).status == "completed"


def test_a_terminal_gets_colours_and_whole_ids(environment: dict[str, str], put: Any) -> None:
    job_id = public_id(put(Status.FAILED))
    with Terminal("jobs", "list", environment=environment, columns=80) as terminal:
        assert terminal.ended() == 0
    assert job_id in terminal.text
    assert "\x1b[1;31mfailed" in terminal.text
    assert "KEY" not in terminal.text
    with Terminal("jobs", "list", environment={**environment, "NO_COLOR": "1"}) as plain:
        assert plain.ended() == 0
    assert "31m" not in plain.text
    assert "KEY" in plain.text
