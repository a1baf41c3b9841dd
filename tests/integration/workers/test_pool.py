"""The pools in real worker processes on a real Valkey, driven by pytest-celery; its events are what Flower sees."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pytest_celery import CeleryTestSetup

from tests.celery_nodes import ValkeyNode, WorkerNode
from tests.integration.workers.conftest import EventTape
from tests.processes import wait_until
from workers.pool import ABORTED, GRACE

FOREVER = 600
SOON = 30.0
NO_PREFETCH = {"DISABLE_PREFETCH": "1"}
SLOT_GATE = {**NO_PREFETCH, "SLOT_GATE": "1"}
DRAIN_AND_EXIT = 1 + 2 * GRACE + SOON


class Queue:
    """Sends tasks of the stand-in app to one queue."""

    def __init__(self, app: Celery, name: str) -> None:
        self.app, self.name = app, name

    def send(self, task: str, *args: object, **options: Any) -> str:
        name = f"tests.integration.workers.pool_app.{task}"
        return str(self.app.send_task(name, args, queue=self.name, **options).id)

    def length(self) -> int:
        with self.app.connection_for_read() as connection:
            client: Any = connection.default_channel.client
            return int(client.llen(self.name))


@pytest.fixture
def worker(celery_setup: CeleryTestSetup) -> Iterator[WorkerNode]:
    """The shared worker, which must have all of its slots back after the test."""
    node: WorkerNode = celery_setup.worker
    yield node
    wait_until(lambda: idle(node), SOON, "all slots free")


@pytest.fixture
def queue(worker: WorkerNode) -> Queue:
    return Queue(worker.app, worker.worker_queue)


def slots(worker: WorkerNode) -> dict[str, int]:
    answer: dict[str, int] = worker.app.control.broadcast(
        "slots", destination=[worker.hostname()], reply=True, timeout=5, limit=1
    )[0][worker.hostname()]
    return answer


def idle(worker: WorkerNode) -> bool:
    taken = slots(worker)
    return taken.pop("free") == 50 and not any(taken.values())


def running(worker: WorkerNode, count: int) -> None:
    wait_until(lambda: slots(worker)["running"] == count, SOON, f"{count} running tasks")


def started(tape: EventTape, *task_ids: str) -> None:
    for task_id in task_ids:
        wait_until(lambda: "task-started" in tape.of(task_id), SOON, f"start of {task_id}")  # noqa: B023


def revoke(worker: WorkerNode, task_id: str) -> None:
    worker.app.control.revoke(task_id, terminate=True, destination=[worker.hostname()])


def abort(worker: WorkerNode, task_id: str) -> None:
    worker.app.control.broadcast("abort", {"task_id": task_id}, destination=[worker.hostname()])


def assert_last_word(tape: EventTape, queue: Queue, task_id: str, kind: str) -> dict[str, Any]:
    """The task ended with one event of this kind, and none came after it."""
    end = tape.end(task_id)
    # Events of one worker keep their order: whatever an ended body made Celery say came before this.
    tape.end(queue.send("sleep", 0))
    assert tape.of(task_id)[-1:] == [kind]
    assert sum(what in ("task-succeeded", "task-failed", "task-revoked") for what in tape.of(task_id)) <= 1
    return end


def test_soft_limit_reaches_the_body(worker: WorkerNode, queue: Queue, tape: EventTape) -> None:
    task_id = queue.send("soft", FOREVER, soft_time_limit=1, time_limit=FOREVER)
    assert "partial" in tape.end(task_id)["result"]
    worker.assert_log_exists(f"Soft time limit (1s) exceeded for tests.integration.workers.pool_app.soft[{task_id}]")


def test_hard_limit_ends_a_body_that_swallowed_the_soft_one(worker: WorkerNode, queue: Queue, tape: EventTape) -> None:
    task_id = queue.send("stubborn", FOREVER, 1, soft_time_limit=1, time_limit=2)
    end = assert_last_word(tape, queue, task_id, "task-failed")
    assert "TimeLimitExceeded(2,)" in end["traceback"]
    worker.assert_log_exists(f"{task_id} met SoftTimeLimitExceeded")


def test_hard_limit_stays_a_failure_though_the_body_swallows_it(
    worker: WorkerNode, queue: Queue, tape: EventTape
) -> None:
    task_id = queue.send("stubborn", 1, 2, time_limit=0.5)
    assert_last_word(tape, queue, task_id, "task-failed")
    worker.assert_log_exists(f"{task_id} met TaskAborted")


@pytest.mark.parametrize("end_it", [revoke, abort])
@pytest.mark.parametrize(("task", "args"), [("sleep", (FOREVER,)), ("stubborn", (1, 1))])
def test_ended_from_outside_is_revoked_and_nothing_else(
    worker: WorkerNode,
    queue: Queue,
    tape: EventTape,
    end_it: Callable[[WorkerNode, str], None],
    task: str,
    args: tuple[object, ...],
) -> None:
    task_id = queue.send(task, *args)
    started(tape, task_id)
    end_it(worker, task_id)
    tape.end(task_id)
    running(worker, 0)
    end = assert_last_word(tape, queue, task_id, "task-revoked")
    assert (end["signum"] == ABORTED) == (end_it is abort)


def test_revoke_finds_a_task_whose_message_came_twice(worker: WorkerNode, queue: Queue, tape: EventTape) -> None:
    task_id = queue.send("sleep", FOREVER)
    started(tape, task_id)
    queue.send("sleep", 0, task_id=task_id)
    assert tape.end(task_id)["type"] == "task-succeeded"
    revoke(worker, task_id)
    wait_until(lambda: "task-revoked" in tape.of(task_id), SOON, "the revoke of the first")


def test_a_thread_of_the_worker_aborts_a_task(worker: WorkerNode, queue: Queue, tape: EventTape) -> None:
    task_id = queue.send("abort_itself", FOREVER)
    assert_last_word(tape, queue, task_id, "task-revoked")
    worker.assert_log_exists(f"{task_id} met TaskAborted")


def test_no_slot_is_lost_to_any_kind_of_end(worker: WorkerNode, queue: Queue, tape: EventTape) -> None:
    ends: list[Callable[[WorkerNode, str], None]] = [revoke, abort, lambda *_: None]
    for end_it in ends:
        limit = 2 if end_it not in (revoke, abort) else None
        task_ids = [queue.send("sleep", FOREVER, time_limit=limit) for _ in range(50)]
        started(tape, *task_ids)
        for task_id in task_ids:
            end_it(worker, task_id)
        for task_id in task_ids:
            tape.end(task_id)
    wait_until(lambda: idle(worker), SOON, "all slots free")


def test_pool_grows_and_shrinks(worker: WorkerNode, queue: Queue) -> None:
    worker.app.control.pool_grow(5, destination=[worker.hostname()], reply=True)
    task_ids = [queue.send("sleep", FOREVER) for _ in range(56)]
    running(worker, 55)
    worker.app.control.pool_shrink(5, destination=[worker.hostname()], reply=True)
    for task_id in task_ids:
        revoke(worker, task_id)


def test_limits_of_the_worker(make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape) -> None:
    arguments = ("-P", "gevent", "-c", "2", "--soft-time-limit", "1", "--time-limit", "2")
    with make_worker("limited", *arguments) as worker:
        queue = Queue(app, worker.worker_queue)
        hard = queue.send("stubborn", FOREVER, 1)
        soft = queue.send("soft", FOREVER)
        assert tape.end(soft)["type"] == "task-succeeded"
        assert "TimeLimitExceeded(2.0,)" in tape.end(hard)["traceback"]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGTERM twice", "shutdown"])
def test_drain(make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape, how: str) -> None:
    with make_worker(f"drain-{how.replace(' ', '-')}", "-P", "gevent", "-c", "10") as worker:
        queue = Queue(app, worker.worker_queue)
        task_id = queue.send("job", FOREVER)
        started(tape, task_id)
        stop(worker, how)
        assert worker.exit_code(DRAIN_AND_EXIT) == 0
        worker.assert_log_exists(f"{task_id} handed back")
    end = tape.end(task_id)
    assert (end["type"], end["exception"]) == ("task-retried", "WorkerDraining()")


def stop(worker: WorkerNode, how: str) -> None:
    if how == "shutdown":
        # A broadcast goes to those who listen, and a worker may run its first task before it does.
        wait_until(lambda: worker.app.control.ping([worker.hostname()], timeout=1), SOON, "answer to a ping")
        worker.app.control.shutdown(destination=[worker.hostname()])
        return
    worker.terminate()
    if how == "SIGTERM twice":
        worker.wait_for_log("Warm shutdown")
        worker.terminate()


def test_drain_lets_tasks_end_in_time_and_exits_with_the_last(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape
) -> None:
    with make_worker("patient", "-P", "gevent", "-c", "10", env={"DRAIN_TIMEOUT": str(FOREVER)}) as worker:
        queue = Queue(app, worker.worker_queue)
        task_ids = [queue.send("sleep", seconds) for seconds in (2, 5)]
        started(tape, *task_ids)
        worker.terminate()
        assert worker.exit_code(SOON) == 0
    assert [tape.end(task_id)["type"] for task_id in task_ids] == ["task-succeeded"] * 2


def test_worker_exits_though_tasks_refuse_to(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape
) -> None:
    with make_worker("refusing", "-P", "gevent", "-c", "10") as worker:
        queue = Queue(app, worker.worker_queue)
        late, never = queue.send("stubborn", FOREVER, 1), queue.send("stubborn", FOREVER, 1_000)
        started(tape, late, never)
        worker.terminate()
        assert worker.exit_code(DRAIN_AND_EXIT) == 0
        worker.assert_log_exists(f"{late} met TaskAborted")
        worker.assert_log_exists(f"leaving with tasks that do not end: ['{never}']")
    assert tape.end(late)["type"] == "task-retried"


@pytest.mark.parametrize(("env", "reserved"), [({}, 3), (NO_PREFETCH, 2), (SLOT_GATE, 2)])
def test_waiting_messages_are_not_started_by_a_worker_that_stops(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape, env: dict[str, str], reserved: int
) -> None:
    with make_worker("full", "-P", "gevent", "-c", "2", queue=f"full-{'-'.join(env)}", env=env) as worker:
        queue = Queue(app, worker.worker_queue)
        first = [queue.send("job", FOREVER) for _ in range(2)]
        started(tape, *first)
        waiting = [queue.send("job", FOREVER) for _ in range(5)]
        wait_until(lambda: slots(worker)["reserved"] == reserved, SOON, "what it reserves")
        worker.terminate()
        assert worker.exit_code(DRAIN_AND_EXIT) == 0
        assert [task_id for task_id in waiting if "task-started" in tape.of(task_id)] == []
        assert queue.length() == len(waiting), "what it had taken is back"


def test_idle_worker_takes_what_waits_behind_a_full_one(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape
) -> None:
    arguments = ("-P", "gevent", "-c", "5")
    with make_worker("busy", *arguments, queue="common", env=SLOT_GATE) as busy:
        queue = Queue(app, "common")
        started(tape, *[queue.send("job", FOREVER) for _ in range(5)])
        waiting = [queue.send("job", FOREVER) for _ in range(5)]
        assert busy.inspect("reserved") == []
        with make_worker("idle", *arguments, queue="common", env=SLOT_GATE):
            started(tape, *waiting)


def test_gate_opens_as_soon_as_a_slot_is_free(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape
) -> None:
    with make_worker("gated", "-P", "gevent", "-c", "1", env=SLOT_GATE) as worker:
        queue = Queue(app, worker.worker_queue)
        task_ids = [queue.send("sleep", 0.05) for _ in range(20)]
        # Celery's own gate looks every two seconds, and would need forty.
        assert tape.end(task_ids[-1], timeout=20)["type"] == "task-succeeded"


def test_full_worker_can_be_reached_again_after_its_broker_was_killed(
    make_worker: Callable[..., WorkerNode], tmp_path: Path
) -> None:
    with ValkeyNode(tmp_path) as broker:
        env = {**SLOT_GATE, "CELERY_BROKER_URL": broker.url}
        with make_worker("cut-off", "-P", "gevent", "-c", "1", env=env) as worker:
            app = Celery("client", broker=broker.url, set_as_current=False)
            task_id = Queue(app, worker.worker_queue).send("job", FOREVER)
            worker.assert_log_exists(f"{task_id} started")
            broker.restart(force=True)
            wait_until(lambda: app.control.ping([worker.hostname()], timeout=1), SOON, "answer to a ping")


@pytest.mark.parametrize("swallow", [0, 1])
def test_prefork_task_is_aborted_from_its_process(
    make_worker: Callable[..., WorkerNode], app: Celery, tape: EventTape, swallow: int
) -> None:
    with make_worker(f"prefork-{swallow}", "-P", "prefork", "-c", "1") as worker:
        queue = Queue(app, worker.worker_queue)
        task_id = queue.send("abort_itself", FOREVER)
        end = assert_last_word(tape, queue, task_id, "task-revoked")
        assert end["signum"] == ABORTED
        worker.assert_log_exists(f"{task_id} met TaskAborted")
