"""The webhook that a single job comes with, from its create to its row."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.db.engine import Database
from app.db.recording import ENDPOINTS
from app.db.webhook_models import WebhookSecret
from app.domain.errors import IdempotencyKeyReusedError, InvalidKeyError, InvalidRequestError, UnavailableError
from app.domain.jobs import Idempotency, Job
from app.domain.webhooks import EventType, JobWebhook
from app.services import job_webhooks
from app.services.job_webhooks import TRUSTED, JobWebhooks
from app.services.keys import KeyService
from tests import rows
from tests.integration.services.owners import REQUEST, SETTINGS, caller, job_service
from tests.integration.services.public_sender import PublicSender

URL = "https://hooks.example.com/a?b=c"
WEBHOOK = JobWebhook(URL)
ORIGIN = "https://hooks.example.com:443"


@pytest.fixture
def sender() -> PublicSender:
    return PublicSender()


def of(database: Database, job: Job) -> tuple[Any, Any, Any]:
    with database.transaction() as connection:
        row = rows.row(connection, job.id)
    return row.webhook_endpoint_id, row.webhook_url, row.webhook_events


def lanes(database: Database, owner: UUID) -> dict[str, UUID]:
    with database.transaction() as connection:
        found = connection.execute(select(ENDPOINTS).where(ENDPOINTS.c.api_key_id == owner))
        return {row.url: row.id for row in found if row.source == "job"}


def test_a_job_without_one_says_nothing(database: Database, sender: PublicSender, owner: UUID) -> None:
    job = job_service(database, sender=sender).submit(caller(owner), REQUEST).job
    assert of(database, job) == (None, None, None)
    assert (lanes(database, owner), sender.checked) == ({}, [])


def test_jobs_share_an_endpoint_for_each_server(database: Database, sender: PublicSender, owner: UUID) -> None:
    service = job_service(database, sender=sender)
    some = JobWebhook("https://hooks.example.com/other", (EventType.FAILED,))
    first, second = (service.submit(caller(owner), REQUEST, None, webhook).job for webhook in (WEBHOOK, some))
    (lane,) = lanes(database, owner).values()
    everything = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]
    assert of(database, first) == (lane, URL, everything)
    assert of(database, second) == (lane, some.url, ["response.failed"])
    service.submit(caller(owner), REQUEST, None, JobWebhook("https://hooks.example.com:8443/"))
    assert set(lanes(database, owner)) == {ORIGIN, "https://hooks.example.com:8443"}
    with database.transaction() as connection:
        signing = select(WebhookSecret.endpoint_id).where(WebhookSecret.api_key_id == owner)
        assert connection.execute(signing).scalars().all() == [None]


def test_first_jobs_at_the_same_moment_share_it_too(database: Database, sender: PublicSender, owner: UUID) -> None:
    service = job_service(database, sender=sender)
    with ThreadPoolExecutor(8) as pool:
        submitted = list(pool.map(lambda _: service.submit(caller(owner), REQUEST, None, WEBHOOK), range(8)))
    assert {of(database, one.job)[0] for one in submitted} == set(lanes(database, owner).values())
    assert len(lanes(database, owner)) == 1


def test_keys_share_none(database: Database, owner: UUID) -> None:
    with database.transaction() as connection:
        other = rows.add_owner(connection)
    service = job_service(database)
    for who in (owner, other):
        service.submit(caller(who), REQUEST, None, WEBHOOK)
    assert not set(lanes(database, owner).values()) & set(lanes(database, other).values())


def test_an_endpoint_is_noted_as_used_now_and_then(database: Database, owner: UUID) -> None:
    service = job_service(database)
    service.submit(caller(owner), REQUEST, None, WEBHOOK)

    def used(at: Any = None) -> Any:
        with database.transaction() as connection:
            if at is not None:
                connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.api_key_id == owner).values(used_at=at))
            return connection.scalar(select(ENDPOINTS.c.used_at).where(ENDPOINTS.c.api_key_id == owner))

    fresh = used()
    service.submit(caller(owner), REQUEST, None, WEBHOOK)
    assert used() == fresh
    stale = used(rows.EARLIER)
    before = lanes(database, owner)
    service.submit(caller(owner), REQUEST, None, WEBHOOK)
    assert used() > stale
    assert lanes(database, owner) == before


def test_a_url_that_is_not_allowed_makes_no_job(database: Database, sender: PublicSender, owner: UUID) -> None:
    service = job_service(database, sender=sender)
    sender.inside.add("inside.example.com")
    for url, code in (
        ("ftp://x.example", "invalid_webhook_url"),
        ("https://inside.example.com", "webhook_url_not_allowed"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            service.submit(caller(owner), REQUEST, None, JobWebhook(url))
        assert (caught.value.error_code, caught.value.param) == (code, "webhook.url")
    sender.up = False
    with pytest.raises(UnavailableError):
        service.submit(caller(owner), REQUEST, None, WEBHOOK)
    with database.transaction() as connection:
        assert not connection.execute(select(rows._jobs.id).where(rows._jobs.api_key_id == owner)).all()
    assert lanes(database, owner) == {}


def test_when_too_many_are_looked_up_the_send_alone_checks(
    database: Database, sender: PublicSender, owner: UUID
) -> None:
    service = JobWebhooks(database, sender, ())
    sender.busy = True
    lane = service.lane(owner, WEBHOOK)
    assert (lane.url, lanes(database, owner)) == (URL, {ORIGIN: lane.endpoint_id})
    with pytest.raises(InvalidRequestError):
        service.lane(owner, JobWebhook("ftp://hooks.example.com"))
    sender.busy = False
    sender.inside.add("hooks.example.com")
    with pytest.raises(InvalidRequestError):
        service.lane(owner, WEBHOOK)


def test_a_good_server_is_trusted_for_a_while(
    database: Database, sender: PublicSender, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    service = JobWebhooks(database, sender, (), clock=lambda: now[0])
    for path in ("/a", "/b"):
        service.lane(owner, JobWebhook(f"https://hooks.example.com{path}"))
    assert len(sender.checked) == 1
    now[0] = TRUSTED
    service.lane(owner, WEBHOOK)
    assert len(sender.checked) == 2
    sender.inside.add("bad.example.com")
    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            service.lane(owner, JobWebhook("https://bad.example.com/"))
    assert len(sender.checked) == 4
    monkeypatch.setattr(job_webhooks, "MAX_TRUSTED", 3)
    for number in range(9):
        service.lane(owner, JobWebhook(f"https://hooks{number}.example.com/"))
    assert len(service._trusted) <= 3


def test_a_keys_jobs_go_to_so_many_servers(database: Database, owner: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_webhooks, "MAX_ORIGINS", 1)
    service = job_service(database)
    service.submit(caller(owner), REQUEST, None, WEBHOOK)
    with pytest.raises(InvalidRequestError) as caught:
        service.submit(caller(owner), REQUEST, None, JobWebhook("https://other.example.com/"))
    assert (caught.value.error_code, caught.value.param) == ("too_many_webhook_endpoints", "webhook.url")
    with database.transaction() as connection:
        connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.api_key_id == owner).values(used_at=rows.EARLIER))
    assert not service.submit(caller(owner), REQUEST, None, WEBHOOK).replayed


def test_a_repeated_create_asks_nobody(database: Database, sender: PublicSender, owner: UUID) -> None:
    idempotency = Idempotency("k", b"digest")
    first = job_service(database, sender=sender).submit(caller(owner), REQUEST, idempotency, WEBHOOK)
    # Another process, which trusts nothing yet.
    sender.up, sender.checked = False, []
    service = job_service(database, sender=sender)
    again = service.submit(caller(owner), REQUEST, idempotency, WEBHOOK)
    assert (again.job.id, again.replayed, sender.checked) == (first.job.id, True, [])
    with pytest.raises(IdempotencyKeyReusedError):
        service.submit(caller(owner), REQUEST, Idempotency("k", b"other"), WEBHOOK)


def test_a_revoked_key_that_is_still_let_in_gets_no_endpoint(database: Database, owner: UUID) -> None:
    KeyService(database, 0, SETTINGS.key_limits).revoke(owner)
    with pytest.raises(InvalidKeyError):
        job_service(database).submit(caller(owner), REQUEST, None, WEBHOOK)
    assert lanes(database, owner) == {}
