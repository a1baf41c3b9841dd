"""Requests made up from a seed, over all routes and everybody's ids; each knows what its reply may be."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI
from tests.acceptance.bad_inputs.raw import request
from tests.acceptance.bad_inputs.routes import NEVER_WAS
from tests.acceptance.bad_inputs.site import JSON_TYPE
from tests.acceptance.isolation.asking import Pairs
from tests.acceptance.isolation.rules import OWNED, PUBLIC, READ, RULES
from tests.acceptance.isolation.tenants import STREAMED, Held, Tenant
from tests.acceptance.isolation.url_map import ROUTES, Route

_DIALECTS = (FREDDY, OPENAI)
_LISTS = {dialect.path for dialect in _DIALECTS}
_COMMON = [route for route in ROUTES if RULES.get(str(route)) in {PUBLIC, READ} and route.address not in _LISTS]
"""The routes whose answers are nobody's own."""
MAKING = {"creates", "own conversations"}
"""The kinds that make a new job each time; with an idempotency key two clients may be given the same one."""
_HEADERS: Pairs = [
    ("Accept-Encoding", "gzip, br"),
    ("Accept", "text/event-stream"),
    ("Prefer", "wait=0"),
    ("Range", "bytes=0-9"),
    ("X-Client-Request-Id", "traffic-1"),
    ("Cache-Control", "only-if-cached"),
    ("If-None-Match", "*"),
]


@dataclass(frozen=True)
class Wish:
    """One request. `kind` is what is counted; the reply has one of the statuses, and if `shows` the tenant's canary."""

    kind: str
    tenant: Tenant
    method: str
    data: bytes
    statuses: frozenset[int]
    shows: bool = False


class Wishes:
    """One client's requests: the same ones for the same seed, tenants and answers to its creates."""

    def __init__(self, seed: str, tenants: Sequence[Tenant]) -> None:
        self._random = random.Random(seed)
        self._tenants = tenants
        self._made: dict[str, list[str]] = {tenant.key: [] for tenant in tenants}
        """Ids that the client has created itself, of each key: only these does their owner end."""

    def next(self) -> Wish:
        """One more, of any of the keys."""
        tenant = self._random.choice(self._tenants)
        kinds: list[Callable[[Tenant], Wish]] = [
            self._own,
            self._others,
            self._mangled,
            self._list,
            self._create,
            self._common,
            self._wrong_key,
        ]
        [kind] = self._random.choices(kinds, [26, 34, 12, 12, 5, 6, 5])
        return kind(tenant)

    def created(self, tenant: Tenant, job_id: str) -> None:
        """Learn of a job that this client has created, and nobody else can name."""
        self._made[tenant.key].append(job_id)

    def _own(self, tenant: Tenant) -> Wish:
        route = self._random.choice(OWNED)
        if route.method in {"GET", "HEAD"}:
            return self._own_read(tenant, route)
        made = self._made[tenant.key]
        if not made:
            return self._own_read(tenant, OWNED[0])
        job_id = made.pop(self._random.randrange(len(made)))
        # What is deleted shows its id alone; of what was cancelled there is more to see.
        shows = route.address.endswith("cancel")
        return self._wish("own write", tenant, route.method, self._at(route, job_id), {200}, shows=shows)

    def _own_read(self, tenant: Tenant, route: Route) -> Wish:
        job = self._random.choice(tenant.jobs)
        items = route.address.endswith("input_items")
        query = "" if items else self._query(job)
        headers, statuses, shows = [self._header()], {200}, True
        if not items and not query and self._random.random() < 0.3:
            # Its own tag, under which the place in the queue may have changed, or somebody else's.
            tag = job.etag if self._random.random() < 0.5 else self._stranger(tenant).etag
            headers, statuses = [("If-None-Match", tag)], {200, 304} if tag == job.etag else {200}
        if ("If-None-Match", "*") in headers:
            statuses = {200, 304}
        name = "own streams" if "stream" in query else "own reads"
        target = self._at(route, self._spelled(job.id)) + query
        return self._wish(name, tenant, route.method, target, statuses, headers, shows=shows)

    def _others(self, tenant: Tenant) -> Wish:
        job = self._stranger(tenant)
        route = self._random.choice(OWNED)
        query = self._query(job) if route.method in {"GET", "HEAD"} and "input_items" not in route.address else ""
        headers = [("If-None-Match", job.etag)] if self._random.random() < 0.3 else [self._header()]
        return self._wish("others' ids", tenant, route.method, self._at(route, job.id) + query, {404}, headers)

    def _mangled(self, tenant: Tenant) -> Wish:
        job_id = self._random.choice([*(job.id for job in tenant.jobs), self._stranger(tenant).id])
        cut = self._random.randrange(1, len(job_id))
        route = self._random.choice(OWNED)
        target = self._at(route, self._random.choice([*_mangled(job_id), job_id[:cut], job_id[cut:]]))
        return self._wish("mangled ids", tenant, route.method, target, {404}, [self._header()])

    def _list(self, tenant: Tenant) -> Wish:
        stranger = self._random.choice([other for other in self._tenants if other != tenant])
        own, other = self._random.choice(tenant.jobs), self._random.choice(stranger.jobs)
        query, statuses, shows = self._random.choice(
            [
                ("", {200}, True),
                ("limit=100&order=asc", {200}, True),
                (f"metadata[who]={tenant.canary}", {200}, True),
                (f"metadata[who]={stranger.canary}", {200}, False),
                (f"status={own.state if own.state != STREAMED else 'completed'}", {200}, True),
                (f"after={own.id}", {200}, False),
                (f"before={own.id}&limit=3", {200}, False),
                (f"after={other.id}", {400}, False),
                (f"before={other.id}&order=asc", {400}, False),
            ]
        )
        method = self._random.choice(["GET", "GET", "HEAD"])
        target = f"{self._random.choice(_DIALECTS).path}?{query}"
        return self._wish("lists", tenant, method, target, statuses, [self._header()], shows=shows)

    def _create(self, tenant: Tenant) -> Wish:
        other = self._stranger(tenant)
        # Its owner used the name in this dialect: the same request in the other one would be another request.
        dialect = other.dialect
        options: list[tuple[str, Pairs, dict[str, str], set[int]]] = [
            ("creates", [], {}, {200}),
            ("own idempotency keys", [("Idempotency-Key", tenant.job("queued", dialect).name)], {}, {200}),
            ("others' idempotency keys", [("Idempotency-Key", other.name)], {}, {200}),
            ("own conversations", [], {"previous_response_id": tenant.job("completed").id}, {200}),
            ("others' conversations", [], {"previous_response_id": other.id}, {400}),
        ]
        kind, headers, change, statuses = self._random.choice(options)
        body = json.dumps(tenant.body(dialect, stream=False, **change)).encode()
        return self._wish(kind, tenant, "POST", dialect.path, statuses, headers, body, shows=True)

    def _common(self, tenant: Tenant) -> Wish:
        route = self._random.choice(_COMMON)
        target = route.target({"name": "gpt-4.1", "asset": "base.css"})
        return self._wish("nobody's own", tenant, route.method, target, {200, 304}, [self._header()])

    def _wrong_key(self, tenant: Tenant) -> Wish:
        key = self._random.choice([None, "", tenant.key[:-1], tenant.key.upper(), tenant.key + "x"])
        route = self._random.choice(OWNED)
        headers = [] if key is None else [("X-API-Key", key)]
        data = request(route.method, self._at(route, self._random.choice(tenant.jobs).id), headers)
        return Wish("wrong keys", tenant, route.method, data, frozenset({401}))

    def _wish(
        self,
        kind: str,
        tenant: Tenant,
        method: str,
        target: str,
        statuses: set[int],
        headers: Pairs = (),
        body: bytes | None = None,
        *,
        shows: bool = False,
    ) -> Wish:
        name, value = self._random.choice([("Authorization", f"Bearer {tenant.key}"), ("X-API-Key", tenant.key)])
        data = request(method, target, [(name, value), JSON_TYPE, *headers], body)
        return Wish(kind, tenant, method, data, frozenset(statuses), shows)

    def _stranger(self, tenant: Tenant) -> Held:
        """A job of another key."""
        return self._random.choice(self._random.choice([other for other in self._tenants if other != tenant]).jobs)

    def _query(self, job: Held) -> str:
        """One that the job's owner gets an answer to, and at once."""
        streams = ["?stream=true", "?stream=true&starting_after=3"] if job.state == STREAMED else []
        return self._random.choice(["", "", "", "?wait=0.01", "?include_obfuscation=true", *streams])

    def _header(self) -> tuple[str, str]:
        return self._random.choice(_HEADERS)

    def _spelled(self, job_id: str) -> str:
        """The same id, in one of the ways that an address may spell it."""
        return self._random.choice([job_id, job_id, job_id.replace("_", "%5f"), job_id.replace("resp", "%72esp")])

    @staticmethod
    def _at(route: Route, job_id: str) -> str:
        return route.target({"response_id": job_id})


def _mangled(job_id: str) -> list[str]:
    """What looks like the id, and is none, or one that nothing has."""
    return [
        NEVER_WAS,
        job_id.upper(),
        job_id.removeprefix("resp_"),
        job_id.replace("_", "%255F"),
        job_id.replace("_", "_%E2%80%8B"),
        f"{job_id}%20",
        f"%20{job_id}",
        f"{job_id}%00",
        f"{job_id},{job_id}",
        f"{job_id}%2f..%2f{job_id}",
    ]
