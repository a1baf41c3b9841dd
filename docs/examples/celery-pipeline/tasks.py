"""Celery tasks that have a model answer through Simmer: one submits a prompt, the other collects the answer."""

import os
import random
import time
from typing import Any

import requests
from celery import Celery, Task

SIMMER = os.environ.get("SIMMER_URL", "http://127.0.0.1:8000") + "/v1/model/response"
API_KEY = os.environ["API_KEY"]
REDIS = os.environ["REDIS_URL"]

WAIT = float(os.environ.get("PIPELINE_WAIT", "10"))
"""Seconds for which one look holds a slot of the worker, at most: short answers come within the first one."""
PATIENCE = float(os.environ.get("PIPELINE_PATIENCE", "3600"))
"""Seconds after which nobody wants the answer any more."""
MAX_RETRIES = 500
"""For one task: looks, refusals and broken connections together. Most looks are 30 s apart."""
ENDED = {"completed", "failed", "cancelled", "refused"}

app = Celery("pipeline", broker=REDIS, backend=REDIS)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # Acknowledged only when it is done, a task whose worker was killed comes to another one after the visibility
    # timeout. That must be longer than any look and any countdown, or tasks run twice for nothing.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "visibility_timeout": float(os.environ.get("PIPELINE_VISIBILITY", "600")),
        # Workers look for such tasks every 10 s, not every 100.
        "unacked_restore_throttle": 1,
    },
    result_expires=86_400,
)


@app.task(bind=True, max_retries=MAX_RETRIES)
def submit(self: Task, prompt: str, model: str = "gpt-4.1") -> dict[str, Any]:
    """Submit a prompt and return the response, which has hardly begun.

    However often Celery runs this task, its id stays the same, and with it the idempotency key: there is one response.
    """
    body = {"model": model, "background": True, "inputs": [{"role": "user", "texts": [{"text": prompt}]}]}
    reply = _call(self, "POST", SIMMER, json=body, headers={"Idempotency-Key": self.request.id})
    return _response(reply)


@app.task(bind=True, max_retries=MAX_RETRIES)
def collect(self: Task, response: dict[str, Any]) -> dict[str, Any]:
    """Return what became of the response. While it runs the task looks, and leaves the worker until the next look.

    What ended badly is returned too: an exception would keep the other answers of a chord from its body.
    """
    if response["status"] not in ENDED:
        address = f"{SIMMER}/{response['id']}"
        reply = _call(self, "GET", address, params={"wait": WAIT})
        response = _response(reply)
        if response["status"] not in ENDED:
            if time.time() - response["created_at"] > PATIENCE:
                # Refused if it ended this very moment: the next look tells how, either way.
                _call(self, "POST", f"{address}/cancel")
            raise self.retry(countdown=float(reply.headers["Retry-After"]))
    return {"status": response["status"], "text": _text(response), "error": response.get("error")}


@app.task
def report(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The next step of the pipeline, with all answers in the order of the prompts."""
    return answers


def _call(task: Task, method: str, address: str, **options: Any) -> requests.Response:
    """The reply. If there is none, or Simmer asks to come back later, the task is run again then."""
    headers = {"Authorization": f"Bearer {API_KEY}", **options.pop("headers", {})}
    pause = min(2.0**task.request.retries, 60)
    try:
        reply = requests.request(method, address, headers=headers, timeout=WAIT + 20, **options)
        if reply.status_code == 429 or reply.status_code >= 500:
            pause = float(reply.headers.get("Retry-After", pause))
            reply.raise_for_status()
    except requests.RequestException as error:
        spread = random.uniform(1, 1.5)  # noqa: S311 - keeps tasks from coming back all at once, guards nothing
        raise task.retry(exc=error, countdown=pause * spread) from error
    return reply


def _response(reply: requests.Response) -> dict[str, Any]:
    """The response, or why there is none, which trying again would not change."""
    body: dict[str, Any] = reply.json()
    return body if reply.ok else {"status": "refused", "output": [], "error": body["error"]}


def _text(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")
