"""Each route of the Freddy dialect, as its owner uses it."""

import json
import re
import shlex
import time
from typing import Any
from uuid import UUID

import pytest
import redis

from app.container import Container
from app.db import endings
from app.db import jobs as db
from app.domain.ids import parse_public_id
from app.domain.jobs import Claim, Completed, Failed, Failure, Outcome, Usage
from app.domain.requests import message
from app.settings import Settings
from app.stack.example import curl
from tests.integration.api.conftest import BODY, URL, Api, stored

ACTIVE_KEYS = {"id", "object", "status", "created_at", "model", "output", "metadata", "attempts"}
OUTPUT = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Here\0\ud800"}]}]
ANSWER = Completed(OUTPUT, Usage(12, 450, 462))
FAILURE = Failed(Failure.TIMEOUT, "Too slow.")


def known(job_id: str) -> UUID:
    found = parse_public_id(job_id)
    assert found
    return found


def start(container: Container, job_id: str) -> Claim:
    with container.database.transaction() as connection:
        claim = db.claim(connection, known(job_id), worker="w@h", lease=60)
    assert claim
    return claim


def end(container: Container, job_id: str, outcome: Outcome) -> None:
    claim = start(container, job_id)
    with container.database.transaction() as connection:
        assert endings.settle(connection, claim, outcome, retention=86_400)


def test_the_contracts_own_curl_works_word_for_word(api: Api, key: str, container: Container) -> None:
    words = shlex.split(curl("", key))
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    before = int(time.time())
    created = api.ask("POST", words[1], headers=headers, data=words[words.index("-d") + 1])
    assert created.status_code == 200
    assert created.json.keys() == ACTIVE_KEYS | {"queue_position"}
    assert re.fullmatch(r"resp_[0-9a-f]{32}", created.json["id"])
    assert (created.json["status"], created.json["object"], created.json["model"]) == ("queued", "response", "gpt-4.1")
    assert before - 5 <= created.json["created_at"] <= time.time() + 5
    assert stored(container) == 1
    assert api.ask("GET", f"{URL}/{created.json['id']}").data == created.data


CONTRACT = """{
    "model": "gpt-4.1",
    "background": true,
    "inputs": [
      {
        "role": "user",
        "texts": [{"text": "Write a detailed article about AI"}]
      }
    ]
  }"""


def test_the_body_as_the_contract_prints_it(api: Api, container: Container) -> None:
    created = api.ask("POST", data=CONTRACT, content_type="application/json")
    assert created.status_code == 200
    claim = start(container, created.json["id"])
    assert claim.request.inputs == (message("user", "Write a detailed article about AI"),)


def test_what_was_sent_is_what_a_worker_gets(api: Api, container: Container) -> None:
    nasty = "\r\n\x1b[31m \U0001f600 \u202e \u2028 \\u0000"
    job_id = api.submit(
        inputs=[{"role": role, "texts": [{"text": nasty}, {"text": ""}]} for role in ("system", "user")],
        instructions=nasty,
        temperature=0,
        top_p=1,
        max_output_tokens=7,
        metadata={nasty: nasty},
    )
    request = start(container, job_id).request
    assert request.inputs == (message("system", nasty, ""), message("user", nasty, ""))
    assert (request.instructions, request.metadata) == (nasty, {nasty: nasty})
    assert (request.temperature, request.top_p, request.max_output_tokens) == (0, 1, 7)
    assert api.ask("GET", f"{URL}/{job_id}").json["metadata"] == {nasty: nasty}


def test_a_create_tells_a_worker_the_id_and_nothing_else(api: Api, settings: Settings) -> None:
    canary = "canary-4d1e"
    job_id = api.submit(
        inputs=[{"role": "user", "texts": [{"text": canary}]}], metadata={"k": canary}, instructions=canary
    )
    (message,) = redis.Redis.from_url(settings.broker_url).lrange("default", 0, -1)
    assert job_id.encode() in message
    assert canary.encode() not in message
    assert json.loads(message)["headers"]["timelimit"] == [1800, 1770]


def test_each_status_as_it_is_polled(api: Api, container: Container) -> None:
    job_id = api.submit()
    start(container, job_id)
    running = api.ask("GET", f"{URL}/{job_id}").json
    assert (running["status"], running["attempts"]) == ("in_progress", 1)
    assert running.keys() == ACTIVE_KEYS | {"started_at"}

    end(container, other := api.submit(), ANSWER)
    completed = api.ask("GET", f"{URL}/{other}").json
    assert completed.keys() == ACTIVE_KEYS | {"started_at", "completed_at", "expires_at", "usage"}
    assert completed["output"] == OUTPUT
    assert completed["usage"] == {"input_tokens": 12, "output_tokens": 450, "total_tokens": 462}

    end(container, third := api.submit(), FAILURE)
    failed = api.ask("GET", f"{URL}/{third}").json
    assert failed.keys() == ACTIVE_KEYS | {"started_at", "failed_at", "expires_at", "error"}
    assert failed["error"] == {"code": "timeout", "message": "Too slow.", "retryable": True}


def test_cancel_is_final_and_may_be_repeated(api: Api, container: Container) -> None:
    queued, running = api.submit(), api.submit()
    start(container, running)
    for job_id, more in ((queued, set()), (running, {"started_at"})):
        first = api.ask("POST", f"{URL}/{job_id}/cancel")
        assert first.status_code == 200
        assert first.json["status"] == "cancelled"
        assert first.json.keys() == ACTIVE_KEYS | {"cancelled_at", "expires_at"} | more
        assert api.ask("POST", f"{URL}/{job_id}/cancel").data == first.data
        assert api.ask("GET", f"{URL}/{job_id}").data == first.data


@pytest.mark.parametrize(("outcome", "status"), [(ANSWER, "completed"), (FAILURE, "failed")])
def test_what_has_ended_can_not_be_cancelled(api: Api, container: Container, outcome: Outcome, status: str) -> None:
    end(container, job_id := api.submit(), outcome)
    before = api.ask("GET", f"{URL}/{job_id}").data
    response = api.ask("POST", f"{URL}/{job_id}/cancel")
    assert response.status_code == 400
    assert response.json["error"]["message"] == f"Cannot cancel a {status} response."
    assert api.ask("GET", f"{URL}/{job_id}").data == before


def test_delete_cancels_what_is_active(api: Api, container: Container) -> None:
    queued, running = api.submit(), api.submit()
    start(container, running)
    for job_id in (queued, running):
        assert api.ask("DELETE", f"{URL}/{job_id}").json["status"] == "cancelled"
        assert api.ask("GET", f"{URL}/{job_id}").json["status"] == "cancelled"


@pytest.mark.parametrize("outcome", [ANSWER, FAILURE, None])
def test_delete_deletes_what_has_ended(api: Api, container: Container, outcome: Outcome | None) -> None:
    job_id = api.submit()
    if outcome:
        end(container, job_id, outcome)
    else:
        api.ask("POST", f"{URL}/{job_id}/cancel")
    deleted = api.ask("DELETE", f"{URL}/{job_id}")
    assert (deleted.status_code, deleted.json) == (200, {"id": job_id, "object": "response", "deleted": True})
    assert api.ask("GET", f"{URL}/{job_id}").status_code == 404
    assert api.ask("DELETE", f"{URL}/{job_id}").status_code == 404
    assert stored(container) == 0


def listed(api: Api, query: dict[str, Any] | None = None) -> tuple[list[str], bool]:
    response = api.ask("GET", query_string=query or {})
    assert response.status_code == 200, response.text
    body = response.json
    assert body.keys() == {"object", "data", "first_id", "last_id", "has_more"}
    ids = [job["id"] for job in body["data"]]
    assert (body["first_id"], body["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, body["has_more"]


def test_a_list_is_the_callers_own_newest_first(api: Api, stranger: Api) -> None:
    assert listed(api) == ([], False)
    mine = [api.submit() for _ in range(3)]
    theirs = stranger.submit()
    assert set(listed(api)[0]) == set(mine)
    assert listed(stranger) == ([theirs], False)


def test_pages_follow_each_other_without_a_gap(api: Api) -> None:
    everything = sorted(api.submit() for _ in range(5))
    for order, wanted in (("asc", everything), ("desc", everything[::-1])):
        found: list[str] = []
        after: dict[str, str] = {}
        has_more = True
        while has_more:
            page, has_more = listed(api, {"limit": 2, "order": order, **after})
            found += page
            after = {"after": page[-1]}
        assert found == wanted
        assert listed(api, {"order": order, "before": wanted[3]}) == (wanted[:3], False)


def test_a_list_can_be_narrowed(api: Api, container: Container) -> None:
    plain, other, tagged = api.submit(), api.submit(model="m"), api.submit(metadata={"k": "v", "n": "1"})
    start(container, other)
    assert listed(api, {"status": "in_progress"}) == ([other], False)
    assert listed(api, {"model": "m"}) == ([other], False)
    assert listed(api, {"metadata[k]": "v"}) == ([tagged], False)
    assert listed(api, {"metadata[k]": "v", "metadata[n]": "2"}) == ([], False)
    created_at = api.ask("GET", f"{URL}/{plain}").json["created_at"]
    assert len(listed(api, {"created_after": created_at})[0]) == 3
    assert listed(api, {"created_before": created_at - 60}) == ([], False)


def test_every_reply_carries_the_same_headers(api: Api) -> None:
    paths = ["/healthz", "/nowhere", URL, f"{URL}/resp_1"]
    replies = [api.ask("GET", path) for path in paths] + [api.create(), api.create(model=1), api.ask("PUT")]
    ids = {reply.headers["X-Request-Id"] for reply in replies}
    assert len(ids) == len(replies)
    for reply in replies:
        assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["X-Request-Id"])
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.content_type == "application/json"


def test_a_key_may_come_in_either_header(api: Api, key: str) -> None:
    for headers in ({"X-API-Key": key}, {"Authorization": f"bearer {key}"}, {"Authorization": f"Bearer  {key} "}):
        assert api.ask("GET", headers=headers).status_code == 200


def test_what_is_recorded_survives_the_process(api: Api, settings: Settings) -> None:
    job_id = known(api.submit())
    fresh = Container(settings)
    with fresh.database.transaction() as connection:
        assert db.claim(connection, job_id, worker="w@h", lease=60)
    fresh.database.close()


def test_the_example_is_the_contracts() -> None:
    assert json.loads(CONTRACT) == BODY
