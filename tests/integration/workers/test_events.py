"""What a gevent worker tells Flower about its tasks, and in how many messages."""

from celery import Celery
from pytest_celery import CeleryTestSetup
from redis import Redis

from tests.celery_nodes import ValkeyNode
from tests.integration.workers.conftest import EventTape
from tests.processes import wait_until

TASKS = 100
TOLD = ["task-received", "task-started", "task-succeeded"]
SLEEP = "tests.integration.workers.pool_app.sleep"


def test_events_of_tasks_are_published_together(
    celery_setup: CeleryTestSetup, app: Celery, tape: EventTape, broker: ValkeyNode
) -> None:
    with Redis.from_url(broker.url) as client, client.pubsub() as published:
        published.psubscribe("*celeryev/task*")
        queue = celery_setup.worker.worker_queue
        task_ids = [app.send_task(SLEEP, (0,), queue=queue).id for _ in range(TASKS)]
        wait_until(lambda: all(tape.of(task_id) == TOLD for task_id in task_ids), 30, "all events in their order")
        heard = list(iter(lambda: published.get_message(timeout=1), None))
    channels = [message["channel"] for message in heard if message["type"] == "pmessage"]
    assert {channel.rpartition(b"/")[2] for channel in channels} == {b"task.multi"}
    assert len(channels) < TASKS, "three events of each task, up to 24 in a message"
