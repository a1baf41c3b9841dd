"""Flask and Celery as tutorials teach them together: a task, a view that delays it, and one that asks for its result.

The views are those of Flask's own documentation ("Background Tasks with Celery"). Redis is broker and result backend,
and the worker (`celery -A benchmarks.peers.tutorial worker`) has Celery's default pool, prefork. OPENAI_BASE_URL and
OPENAI_API_KEY say whom the task asks.
"""

import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from flask import Flask, request
from openai import OpenAI

REDIS = os.environ["SIMMER_BROKER_URL"]

web = Flask(__name__)
celery = Celery("tutorial", broker=REDIS, backend=REDIS)
celery.conf.update(task_default_queue="tutorial", broker_connection_retry_on_startup=True)


@celery.task
def answer(prompt: str) -> str | None:
    """Ask the model."""
    reply = OpenAI().chat.completions.create(model="bench", messages=[{"role": "user", "content": prompt}])
    return reply.choices[0].message.content


@web.post("/jobs")
def start() -> tuple[dict[str, str], int]:
    """Have the task run."""
    result = answer.delay(request.get_json()["prompt"])
    return {"result_id": result.id}, 202


@web.get("/jobs/<result_id>")
def result(result_id: str) -> dict[str, Any]:
    """How far it is, and what it returned."""
    found = AsyncResult(result_id, app=celery)
    return {
        "ready": found.ready(),
        "successful": found.successful(),
        "value": found.result if found.ready() else None,
    }
