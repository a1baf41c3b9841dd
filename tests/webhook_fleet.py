"""Many keys with an endpoint each, of which some fail, hang or are gone: what the healthy ones must not notice."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from standardwebhooks import Webhook

from app.container import Container
from app.domain.ids import EVENT, prefixed
from app.settings import Settings
from tests.cluster import Client
from tests.webhook_receiver import Received

HEALTHY, FAILING, HANGING, GONE = "healthy", "failing", "hanging", "gone"
KINDS = (HEALTHY,) * 12 + (FAILING,) * 5 + (HANGING,) * 2 + (GONE,)
ANSWERS: dict[str, dict[str, object]] = {FAILING: {"status": 500}, HANGING: {"hang": True}, GONE: {"status": 410}}
"""What the receiver does; the healthy ones get 200."""
SCOPES = ["responses:read", "responses:write", "webhooks"]

_ENDED = """
    SELECT jobs.id, e.id, extract(epoch FROM ended_at)::float FROM jobs JOIN webhook_endpoints AS e USING (api_key_id)
    WHERE ended_at IS NOT NULL
"""


@dataclass(frozen=True)
class Member:
    """One key, and its endpoint."""

    kind: str
    path: str
    key: str
    endpoint_id: str
    secret: str


@dataclass
class Arrivals:
    """What reached the healthy endpoints."""

    missing: int = 0
    unsigned: int = 0
    repeated: int = 0
    lags: list[float] = field(default_factory=list)
    """Seconds from the end of each job to the first arrival of its event."""


def paths() -> list[tuple[str, str]]:
    """Kind and path of each endpoint."""
    return [(kind, f"/{kind}-{number}") for number, kind in enumerate(KINDS)]


def answers() -> dict[str, dict[str, object]]:
    """What the receiver answers, by path, as tests.webhook_receiver.Answer has it."""
    return {path: ANSWERS[kind] for kind, path in paths() if kind in ANSWERS}


def enlist(url: str, database_url: str, receiver_url: str) -> list[Member]:
    """A key and an endpoint for each path, at an API and a receiver that run."""
    container = Container(Settings(database_url=database_url))
    members = []
    for kind, path in paths():
        key = container.keys.create(path, SCOPES)[1]
        body = {"url": receiver_url.rstrip("/") + path}
        reply = Client(url, key).request("POST", "/v1/webhook_endpoints", body)
        assert reply.status == 200, reply
        members.append(Member(kind, path, key, reply.json["id"], reply.json["secret"]))
    container.database.close()
    return members


def undelivered(connection: psycopg.Connection, members: Sequence[Member]) -> int:
    """How many deliveries to healthy endpoints are not settled yet."""
    healthy = [_uuid(member.endpoint_id) for member in members if member.kind == HEALTHY]
    statement = "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = ANY(%s::uuid[]) AND status <> 'delivered'"
    return _one(connection, statement, [healthy])


def unfinished(connection: psycopg.Connection) -> int:
    """How many jobs have not ended."""
    return _one(connection, "SELECT count(*) FROM jobs WHERE ended_at IS NULL", [])


def disabled(connection: psycopg.Connection, members: Sequence[Member]) -> dict[str, str | None]:
    """Why endpoints are disabled, by their path."""
    rows = connection.execute("SELECT id, disabled_reason FROM webhook_endpoints").fetchall()
    by_hex: dict[str, str | None] = {endpoint_id.hex: reason for endpoint_id, reason in rows}
    return {member.path: by_hex[_uuid(member.endpoint_id)] for member in members}


def judge(connection: psycopg.Connection, members: Sequence[Member], requests: Iterable[Received]) -> Arrivals:
    """What the healthy endpoints got, measured against what has happened."""
    wanted: dict[str, dict[str, float]] = defaultdict(dict)
    for job_id, endpoint_id, ended_at in connection.execute(_ENDED):
        wanted[endpoint_id.hex][prefixed(EVENT, job_id)] = ended_at
    by_path: dict[str, list[Received]] = defaultdict(list)
    for request in requests:
        by_path[request.path].append(request)
    found = Arrivals()
    for member in members:
        if member.kind == HEALTHY:
            _judge(found, member, wanted[_uuid(member.endpoint_id)], by_path[member.path])
    return found


def _judge(found: Arrivals, member: Member, wanted: Mapping[str, float], requests: Sequence[Received]) -> None:
    first: dict[str, float] = {}
    for request in requests:
        try:
            event = Webhook(member.secret).verify(request.body, dict(request.headers))
        except Exception:  # noqa: BLE001 - whatever it is, it has no valid signature
            found.unsigned += 1
            continue
        found.repeated += event["id"] in first
        first.setdefault(event["id"], request.at)
    found.missing += len(wanted.keys() - first.keys())
    found.lags += [first[event_id] - ended_at for event_id, ended_at in wanted.items() if event_id in first]


def _uuid(endpoint_id: str) -> str:
    return endpoint_id.partition("_")[2]


def _one(connection: psycopg.Connection, statement: str, values: Sequence[object]) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return int(row[0])
