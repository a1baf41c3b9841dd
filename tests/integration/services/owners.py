"""The side of those who own jobs, without HTTP: the job service, and who calls it."""

from uuid import UUID

from app.db.engine import Database
from app.domain.ports import Dispatcher, Doorbell, EventLog
from app.domain.requests import JobRequest, message
from app.domain.scopes import DEFAULT_SCOPES
from app.domain.webhook_sending import WebhookSender
from app.services.admission import AdmissionService
from app.services.job_webhooks import JobWebhooks
from app.services.jobs import JobService
from app.services.keys import Caller
from app.settings import Settings
from app.upstreams.catalog import Catalog
from tests.integration.services.dispatcher import RecordingDispatcher
from tests.integration.services.doorbell import LocalDoorbell
from tests.integration.services.event_log import MemoryEventLog
from tests.integration.services.public_sender import PublicSender

CATALOG = Catalog.model_validate(
    {
        "upstreams": {
            "mock": {"base_url": "http://127.0.0.1:1/v1"},
            "responses": {"base_url": "http://127.0.0.1:1/v1", "protocol": "responses"},
        },
        "models": {
            "gpt-*": {"upstream": "mock", "soft_time_limit": 20, "time_limit": 30, "max_attempts": 2},
            "searching": {"upstream": "responses", "hosted_tools": ["web_search"]},
        },
    }
)
REQUEST = JobRequest("gpt-4.1", (message("user", "Hello"),), metadata={"team": "a"})
SETTINGS = Settings(queue_timeout=600, redispatch_after=10, retention=3600, sync_timeout=60)


def caller(api_key_id: UUID) -> Caller:
    """Somebody who may do what the settings allow."""
    return Caller(api_key_id, frozenset(DEFAULT_SCOPES), SETTINGS.key_limits)


def job_service(
    database: Database,
    dispatcher: Dispatcher | None = None,
    doorbell: Doorbell | None = None,
    event_log: EventLog | None = None,
    settings: Settings = SETTINGS,
    sender: WebhookSender | None = None,
) -> JobService:
    """The service on this database; what is not given is a fake that works."""
    return JobService(
        database,
        dispatcher or RecordingDispatcher(),
        doorbell or LocalDoorbell(),
        event_log or MemoryEventLog(),
        CATALOG,
        AdmissionService(database, settings),
        JobWebhooks(database, sender or PublicSender(), ()),
        settings,
    )
