"""Webhooks all the way: from a create to a request that is verified, and what becomes of endpoints that fail."""

import json
from datetime import datetime
from typing import Any

import pytest
from celery import Celery
from standardwebhooks import Webhook, WebhookVerificationError

from app.adapters.queue import DELIVER, WEBHOOK_QUEUE, celery_config
from app.settings import Settings
from tests.acceptance.webhooks.site import PATIENCE, Endpoint, Site, event_of, told
from tests.cluster import Client
from tests.processes import wait_until
from tests.webhook_receiver import Answer, Receiver

ENDINGS = {
    "response.completed": "fine",
    "response.failed": "[[status 400]]",
    "response.cancelled": "[[hang]]",
}


def ended(client: Client, kind: str, **more: Any) -> str:
    job_id: str = client.submit(f"{kind} {ENDINGS[kind]}", **more)
    if kind == "response.cancelled":
        client.cancel(job_id)
    assert f"response.{client.wait(job_id)['status']}" == kind
    return job_id


@pytest.mark.parametrize("kind", ENDINGS)
def test_each_end_of_a_job_is_told_and_signed(site: Site, kind: str) -> None:
    client, path = site.client(), f"/{kind}"
    endpoint = site.endpoint(client, path)

    job_id = ended(client, kind)

    [request] = site.received(path)
    assert told([request], endpoint.secret) == [(kind, job_id)]
    assert request.headers["webhook-id"] == event_of(job_id)
    assert request.headers["content-type"] == "application/json"
    assert set(json.loads(request.body)) == {"id", "object", "type", "created_at", "data"}
    delivered = wait_until(
        lambda: [one for one in site.deliveries(client, endpoint) if one["status"] == "delivered"], PATIENCE, "settled"
    )
    assert [one["id"] for one in delivered] == [event_of(job_id)]


def test_only_what_was_asked_for_is_told(site: Site) -> None:
    client = site.client()
    endpoint = site.endpoint(client, "/failures", events=["response.failed"])

    ended(client, "response.completed")
    failed = ended(client, "response.failed")

    assert told(site.received("/failures"), endpoint.secret) == [("response.failed", failed)]
    assert len(site.deliveries(client, endpoint)) == 1


@pytest.mark.parametrize("path", ["/own?job=1", "/own?job=2"])
def test_a_job_tells_the_webhook_it_came_with_signed_by_its_keys_secret(site: Site, path: str) -> None:
    client = site.client()
    everything = site.endpoint(client, f"/besides{path}")

    job_id = ended(client, "response.completed", webhook={"url": site.receiver.url(path)})
    ended(client, "response.completed")

    secret = client.request("GET", "/v1/webhook_secret").json["secret"]
    assert told(site.received(path), secret) == [("response.completed", job_id)]
    assert len(site.received(f"/besides{path}", 2)) == 2
    with pytest.raises(WebhookVerificationError):
        told(site.received(path), everything.secret)


def test_during_a_rotation_both_secrets_verify(site: Site) -> None:
    client = site.client()
    endpoint = site.endpoint(client, "/rotated")
    rotated = client.request("POST", f"/v1/webhook_endpoints/{endpoint.id}/rotate_secret", {"overlap": 3600})

    job_id = ended(client, "response.completed")

    requests = site.received("/rotated")
    for secret in (endpoint.secret, rotated.json["secret"]):
        assert told(requests, secret) == [("response.completed", job_id)]
    assert len(requests[0].headers["webhook-signature"].split(" ")) == 2


def test_a_test_event_arrives(site: Site) -> None:
    client = site.client()
    endpoint = site.endpoint(client, "/test")

    assert client.request("POST", f"/v1/webhook_endpoints/{endpoint.id}/test").status == 200

    [request] = site.received("/test")
    event = Webhook(endpoint.secret).verify(request.body, dict(request.headers))
    assert (event["type"], event["data"]["id"]) == ("webhook.test", endpoint.id)


def test_what_fails_is_tried_again_with_the_same_id(site: Site) -> None:
    client, path = site.client(), "/unwell"
    site.receiver.answer(Answer(503, body=b"not now"), Answer(500), Answer(200), path=path)
    endpoint = site.endpoint(client, path)
    job_id = ended(client, "response.completed")

    for number in (1, 2, 3):
        settled(site, client, endpoint, job_id, number)
        site.hurry()

    assert told(site.received(path), endpoint.secret) == [("response.completed", job_id)] * 3
    made = settled(site, client, endpoint, job_id, 3)
    assert [one["status_code"] for one in made] == [503, 500, 200]
    assert site.delivery(client, endpoint, event_of(job_id))["status"] == "delivered"


def settled(site: Site, client: Client, endpoint: Endpoint, job_id: str, number: int = 1) -> list[Any]:
    """The tries of the job's delivery, once there are so many."""

    def there() -> list[Any]:
        tries: list[Any] = site.delivery(client, endpoint, event_of(job_id))["attempts"]
        return tries if len(tries) >= number else []

    return wait_until(there, PATIENCE, f"{number} tries")


def test_the_endpoint_may_ask_for_more_time(site: Site) -> None:
    client, path = site.client(), "/later"
    site.receiver.answer(Answer(429, {"Retry-After": "1800"}), path=path)
    endpoint = site.endpoint(client, path)

    job_id = ended(client, "response.completed")

    settled(site, client, endpoint, job_id)
    found = site.delivery(client, endpoint, event_of(job_id))
    assert found["status"] == "pending"
    wait = _time(found["next_attempt_at"]) - _time(found["created_at"])
    assert 1_790 < wait < 1_900


def _time(shown: Any) -> float:
    return float(shown) if isinstance(shown, int | float) else datetime.fromisoformat(shown).timestamp()


def test_an_endpoint_that_is_gone_is_disabled_and_told_no_more(site: Site) -> None:
    client, path = site.client(), "/gone"
    site.receiver.answer(Answer(410), path=path)
    endpoint = site.endpoint(client, path)

    ended(client, "response.completed")
    wait_until(lambda: site.show(client, endpoint)["disabled_reason"] == "gone", PATIENCE, "disabled")
    ended(client, "response.completed")

    assert [one["status"] for one in site.deliveries(client, endpoint)] == ["failed"]
    assert len(site.received(path)) == 1


def test_a_redirect_is_a_failure_and_nobody_connects_there(site: Site) -> None:
    client, path = site.client(), "/moved"
    with Receiver() as target:
        site.receiver.answer(Answer(308, {"Location": target.url("/")}), path=path)
        endpoint = site.endpoint(client, path)
        job_id = ended(client, "response.completed")
        [made] = settled(site, client, endpoint, job_id)
        assert made["status_code"] == 308
        assert site.delivery(client, endpoint, event_of(job_id))["status"] == "pending"
        assert target.connections == 0


def test_a_message_that_names_no_endpoint_is_dropped(site: Site) -> None:
    settings = Settings(broker_url=site.cluster.env["SIMMER_BROKER_URL"])
    celery = Celery(set_as_current=False)
    celery.conf.update(celery_config(settings))
    for nonsense in ("whe_1", "resp_" + "0" * 32):
        celery.send_task(DELIVER, args=(nonsense,), queue=WEBHOOK_QUEUE)

    worker = site.cluster.started("webhooks")
    wait_until(lambda: worker.output().count("not a webhook endpoint's id") == 2, PATIENCE, "both are told of")
