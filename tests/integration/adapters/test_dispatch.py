"""The messages that the dispatcher sends, beside those of Celery's own `send_task`."""

import json
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from redis import Redis

from app.adapters.queue import DELIVER, RUN_JOB, WEBHOOK_QUEUE, CeleryDispatcher, api_celery_config
from app.domain.ids import new_id, public_id
from app.domain.jobs import Dispatch, Limits
from app.settings import Settings

# Of the one that waits for a result, which nobody does.
ANSWERED_TO = "reply_to"


@pytest.fixture
def celery(settings: Settings) -> Celery:
    made = Celery(set_as_current=False)
    made.conf.update(api_celery_config(settings))
    return made


def sent(settings: Settings, queue: str) -> list[dict[str, Any]]:
    """What lies in the queue, the oldest first."""
    with Redis.from_url(settings.broker_url) as redis:
        found = [json.loads(message) for message in reversed(redis.lrange(queue, 0, -1))]
    for message in found:
        assert message["properties"].pop("delivery_tag")
        message["properties"].pop(ANSWERED_TO, None)
    return found


def test_a_job_s_message_is_celery_s(settings: Settings, celery: Celery) -> None:
    job_id = new_id()
    assert CeleryDispatcher(celery).dispatch(Dispatch(job_id, "priority", Limits(50, 60, 4)))
    task_id, limits = public_id(job_id), {"soft_time_limit": 50, "time_limit": 60}
    celery.send_task(RUN_JOB, (task_id,), task_id=task_id, queue="priority", ignore_result=True, **limits)
    ours, theirs = sent(settings, "priority")
    assert ours == theirs
    assert ours["headers"]["timelimit"] == [60, 50]


def test_a_webhook_s_message_is_celery_s(settings: Settings, celery: Celery) -> None:
    assert CeleryDispatcher(celery).deliver(UUID(int=7))
    ours = sent(settings, WEBHOOK_QUEUE)[0]
    celery.send_task(
        DELIVER, (f"whe_{7:032x}",), task_id=ours["headers"]["id"], queue=WEBHOOK_QUEUE, ignore_result=True
    )
    assert sent(settings, WEBHOOK_QUEUE) == [ours, ours]
