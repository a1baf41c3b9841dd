"""A bare Celery app whose task does to Simmer's own table what a job of Simmer does: claim a row, settle it.

`celery -A benchmarks.floors.tasks worker -P gevent`. The statements set the same columns and the same indexes see to
them, so that all that differs is what runs in the worker. No lease is kept, nobody is told, and nothing is retried.
"""

import json
import os
from typing import Any
from uuid import UUID

import httpx2
from celery import Celery

from benchmarks.floors.database import Connections

INSERT = """
INSERT INTO jobs (id, api_key_id, status, model, request, inputs, background, stream, store, metadata,
                  soft_time_limit, time_limit, max_attempts, queue, queue_expires_at, redispatch_at)
SELECT %(id)s, id, 'queued', 'bench', '{}', %(inputs)s, true, false, true, '{}',
       1770, 1800, 4, 'default', now() + interval '1 day', now() + interval '10 s'
FROM api_keys LIMIT 1
"""
CLAIM = """
UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker = %(worker)s, redispatch_at = NULL,
                started_at = coalesce(started_at, now()), lease_expires_at = now() + interval '60 s',
                run_deadline_at = now() + (time_limit + 5) * interval '1 s'
WHERE id = %(id)s AND status = 'queued' AND attempt < max_attempts
RETURNING attempt, model, request, inputs, metadata, background, stream, store,
          soft_time_limit, time_limit, max_attempts
"""
SETTLE = """
UPDATE jobs SET status = 'completed', redispatch_at = NULL, lease_expires_at = NULL, run_deadline_at = NULL,
                ended_at = now(), expires_at = now() + interval '1 day', output = %(output)s, usage = %(usage)s,
                incomplete_reason = NULL, events = NULL
WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'in_progress'
RETURNING id
"""
ANSWER: dict[str, Any] = {
    "choices": [{"message": {"role": "assistant", "content": "Here it is."}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
"""What the upstream would say, for the task that does not ask it."""

app = Celery("floor", broker=os.environ["SIMMER_BROKER_URL"])
app.conf.update(task_default_queue="floor", task_ignore_result=True, broker_connection_retry_on_startup=True)
_connections = Connections(os.environ["SIMMER_DATABASE_URL"])
_client = httpx2.Client(timeout=60)


def insert(job_id: UUID, prompt: str) -> None:
    """The first of the three statements: the producer's."""
    inputs = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}]
    with _connections.one() as connection:
        connection.execute(INSERT, {"id": job_id, "inputs": json.dumps(inputs)})


@app.task(bind=True)
def without_call(self: Any, job_id: str) -> None:
    """Claim and settle."""
    attempt, _ = _claim(job_id, self.request.hostname)
    _settle(job_id, attempt, ANSWER)


@app.task(bind=True)
def with_call(self: Any, job_id: str) -> None:
    """Claim, ask the upstream, and settle."""
    attempt, prompt = _claim(job_id, self.request.hostname)
    body = {"model": "bench", "messages": [{"role": "user", "content": prompt}]}
    answer = _client.post(f"{os.environ['FLOOR_UPSTREAM']}/chat/completions", json=body)
    _settle(job_id, attempt, answer.raise_for_status().json())


def _claim(job_id: str, worker: str) -> tuple[int, str]:
    with _connections.one() as connection:
        row = connection.execute(CLAIM, {"id": job_id, "worker": worker}).fetchone()
    assert row
    attempt, _, _, inputs = row[:4]
    return attempt, inputs[0]["content"][0]["text"]


def _settle(job_id: str, attempt: int, answer: dict[str, Any]) -> None:
    text = answer["choices"][0]["message"]["content"]
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
    values = {"id": job_id, "attempt": attempt, "output": json.dumps(output), "usage": json.dumps(answer["usage"])}
    with _connections.one() as connection:
        assert connection.execute(SETTLE, values).fetchone()
