"""Sends wishes on connections that all keys share, many at once, and notes everything that must not be in a reply."""

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.acceptance.bad_inputs.raw import Reply
from tests.acceptance.isolation.asking import Line
from tests.acceptance.isolation.tenants import Tenant
from tests.acceptance.isolation.wishes import MAKING, Wish, Wishes

CLIENTS = 16
PER_CONNECTION = 100
"""Requests after which a client takes a new connection, perhaps to the other process."""
PIPELINED = 4
"""Requests that are sent before the first of them is answered."""
CANARY = re.compile(rb"canary-[0-9a-f]{16}")
_ID = re.compile(rb"(?<!req)_([0-9a-f]{32})")
"""The ids of jobs, and of the items of their inputs and outputs, which begin with their job's."""


@dataclass
class Findings:
    """What came back."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    readers: defaultdict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Whose replies held an id, by canary."""
    refusals: set[bytes] = field(default_factory=set)
    """The bodies of all 404s."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def by_status(self) -> dict[int, int]:
        """How many replies had each status."""
        return {status: self.count(status=status) for status in sorted({status for _, status in self.statuses})}

    def count(self, kind: str | None = None, status: int | None = None) -> int:
        """How many requests of this kind had this status."""
        return sum(
            number for (of, had), number in self.statuses.items() if kind in {None, of} and status in {None, had}
        )

    def note(self, wish: Wish, reply: Reply) -> None:
        """Look through the reply to a wish."""
        faults = list(_faults(wish, reply))
        # What is nobody's own has examples in it, the same for everybody.
        ids = [] if wish.kind == "nobody's own" else _ID.findall(reply.body)
        with self._lock:
            self.statuses[wish.kind, reply.status] += 1
            self.faults += faults
            for each in ids:
                self.readers[each].add(wish.tenant.canary)
            if reply.status == 404 and wish.method != "HEAD":
                self.refusals.add(reply.body)


def _faults(wish: Wish, reply: Reply) -> list[str]:
    shown = wish.data.split(b"\r\n", 1)[0].decode()
    found = {each.decode() for each in CANARY.findall(reply.text.encode())}
    faults = []
    if found - {wish.tenant.canary}:
        faults.append(f"{wish.kind}: {shown} of {wish.tenant.canary} was told of {found}")
    if reply.status not in wish.statuses:
        faults.append(f"{wish.kind}: {shown} got {reply.status} {reply.body[:200]!r}")
    if wish.shows and reply.status == 200 and wish.method != "HEAD" and not found:
        faults.append(f"{wish.kind}: {shown} did not show its owner's canary")
    if reply.header("content-encoding"):
        faults.append(f"{shown}: a packed body can't be searched")
    return faults


def play(url: str, seed: int, tenants: Sequence[Tenant], requests: int) -> Findings:
    """Send so many requests from CLIENTS clients."""
    findings = Findings()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [
            pool.submit(_client, url, Wishes(f"{seed}/{number}", tenants), requests // CLIENTS, findings)
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.result()
    return findings


def _client(url: str, wishes: Wishes, requests: int, findings: Findings) -> None:
    while requests > 0:
        with Line(url) as line:
            for _ in range(0, min(requests, PER_CONNECTION), PIPELINED):
                _exchange(line, wishes, findings)
        requests -= PER_CONNECTION


def _exchange(line: Line, wishes: Wishes, findings: Findings) -> None:
    """Send a few requests, of several keys, in one go; hear their replies in turn."""
    batch = [wishes.next() for _ in range(PIPELINED)]
    line.send(b"".join(wish.data for wish in batch))
    for wish in batch:
        reply = line.reply_to(wish.method)
        findings.note(wish, reply)
        if wish.kind in MAKING and reply.status == 200:
            wishes.created(wish.tenant, reply.json["id"])
