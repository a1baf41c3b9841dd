"""Steady load on a Simmer through its public API, from several keys, all of it recorded."""

import asyncio
import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from tests.faults.cases import TERMINAL
from tests.faults.errands import CANARY, ERRAND, Errand, Session, canaries_in
from tests.faults.history import History, Listed, Read, code_of, ended_at_of, result_of, state_of
from tests.faults.http import HttpClient
from tests.processes import wait_until

DEADLINE = 20.0
"""Seconds in which the API must answer, whatever else is down (I9)."""
PATIENCE = 60.0
"""Seconds for which a client tries a create again."""
MAX_ERRANDS = 1_000
"""Errands under way at once; beyond, the load falls behind its rate: else those that were refused in an outage would
come again on top of all others, and the overload would outlast what has caused it."""
EXTRA = 10_000_000
"""Where the numbers of jobs begin that are created beside the plan."""

MIX = {"poll": 45, "wait": 15, "stream": 12, "drop": 4, "cancel": 10, "replay": 10, "stranger": 4}
"""How many of a hundred clients do what with their job."""
SCRIPTS = {
    "": 50,
    "[[sleep 0.3]]": 30,
    "[[sleep 2]]": 10,
    "[[fail-first 1 status=503]]": 4,
    "[[fail-first 1 by=reset]]": 3,
    "[[status 500]]": 2,
    "[[error code=invalid_prompt]]": 1,
}
"""What the mock upstream is asked to do, by weight."""


@dataclass(frozen=True, slots=True)
class Target:
    """The Simmer to put the load on: where its APIs answer, and secrets of API keys by a name of lower-case letters."""

    urls: Sequence[str]
    secrets: Mapping[str, str]
    model: str = "mock"
    scripted: bool = True
    """Its upstream is the mock: prompts may hold directives, and answers repeat the prompt."""
    max_attempts: int = 4


class Load:
    """A context manager: creates jobs at a rate for as long as the block runs, then lets every client finish.

    `drain()` then waits for the jobs, and reads all of them twice.
    """

    def __init__(self, target: Target, *, rate: float, seed: int = 1, scripts: Mapping[str, int] = SCRIPTS) -> None:
        """`rate` in jobs a second, spread evenly; the same seed plans the same errands."""
        self.history = History()
        self._target = target
        self._rate = rate
        self._random = random.Random(seed)
        self._seed = seed
        self._scripts = scripts if target.scripted else {"": 1}
        self._extra: SimpleQueue[Errand] = SimpleQueue()
        self._extras = count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._session: Session | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._session or self._error, 10, "the load runs")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2 * (DEADLINE + PATIENCE))
        if self._thread.is_alive():
            raise AssertionError("clients of the load do not end")
        if self._error:
            raise self._error

    @property
    def accepted(self) -> int:
        """How many jobs were answered with 2xx so far."""
        return len(self._session.accepted) if self._session else 0

    def wait_accepted(self, more: int, timeout: float = 60) -> None:
        """Wait until so many more jobs are accepted than now."""
        wanted = self.accepted + more
        wait_until(lambda: self.accepted >= wanted, timeout, f"{more} more jobs accepted")

    def submit(self, *, model: str, max_attempts: int) -> None:
        """Have one job more created, on a model of its own."""
        key = min(self._target.secrets)
        canary = f"{CANARY}{key}-{self._seed}-{EXTRA + next(self._extras)}"
        self._extra.put(Errand(key, canary, "poll", "", model, self._target.scripted, canary, max_attempts, True))

    def drain(self, timeout: float) -> None:
        """Wait until every accepted job has ended, as its owner sees it, then read all through each API. What has not
        ended after `timeout` seconds is left for the checker to find.
        """
        asyncio.run(self._drain(timeout))

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error

    async def _work(self) -> None:
        self._session = session = self._new_session({})
        running: set[asyncio.Task[None]] = set()
        started_at = time.monotonic()
        planned = 0

        def begin(errand: Errand) -> None:
            task = asyncio.create_task(session.run(errand))
            running.add(task)
            task.add_done_callback(running.discard)

        while not self._stop.is_set():
            due = int((time.monotonic() - started_at) * self._rate)
            for number in range(planned, due):
                if len(running) < MAX_ERRANDS:
                    begin(self._errand(number))
            planned = due
            while not self._extra.empty():
                begin(self._extra.get())
            await asyncio.sleep(0.01)
        await asyncio.gather(*running)
        for api in session.apis:
            api.close()

    def _new_session(self, accepted: dict[str, Errand]) -> Session:
        target = self._target
        apis = [HttpClient(url) for url in target.urls]
        return Session(apis, target.secrets, self.history, DEADLINE, PATIENCE, self._random, accepted)

    def _errand(self, number: int) -> Errand:
        chosen = self._random
        key = chosen.choice(sorted(self._target.secrets))
        kind = _weighted(chosen, MIX)
        canary = f"{CANARY}{key}-{self._seed}-{number}"
        script = _weighted(chosen, self._scripts)
        # One that is sent twice has one.
        named = kind == "replay" or chosen.random() < 0.7
        return Errand(
            key=key,
            canary=canary,
            kind=kind,
            script=script,
            model=self._target.model,
            echoed=self._target.scripted,
            idempotency_key=f"{canary}-once" if named else None,
            max_attempts=self._target.max_attempts,
        )

    async def _drain(self, timeout: float) -> None:
        assert self._session
        session = self._new_session(self._session.accepted)
        give_up_at = time.monotonic() + timeout
        active = set(session.accepted)
        while active and time.monotonic() < give_up_at:
            ended = await self._list(session, 0, active)
            active -= ended
            await asyncio.sleep(0.5 if active else 0)
        for api in range(len(session.apis)):
            missing = set(session.accepted) - await self._list(session, api, set(session.accepted))
            for job_id in missing:
                # What no list shows may still be found by its id, or is lost.
                await session.read(session.accepted[job_id].key, job_id)
        for client in session.apis:
            client.close()

    async def _list(self, session: Session, api: int, wanted: set[str]) -> set[str]:
        """Read every key's list until all wanted jobs were seen; return those that have ended."""
        ended: set[str] = set()
        for key in sorted(self._target.secrets):
            left = {job_id for job_id in wanted if session.accepted[job_id].key == key}
            after = None
            more = True
            while more and left:
                sent_at = time.time()
                reply = await session.page(key, api, after)
                if reply is None or reply.status != 200:
                    break
                page = reply.json
                ended |= self._note(key, page["data"], sent_at, time.time())
                left -= {job["id"] for job in page["data"]}
                more, after = page["has_more"], page["last_id"]
        return ended

    def _note(self, key: str, jobs: Iterable[dict[str, Any]], sent_at: float, answered_at: float) -> set[str]:
        ended = set()
        for job in jobs:
            state = state_of(job)
            errand = job["metadata"].get(ERRAND)
            canary = f"{CANARY}{errand}" if errand else None
            found = canaries_in(str(job))
            self.history.append(Listed(sent_at, answered_at, key, job["id"], state or "", canary))
            self.history.append(
                Read(
                    sent_at,
                    answered_at,
                    key,
                    job["id"],
                    200,
                    state,
                    result_of(job),
                    found,
                    ended_at=ended_at_of(job),
                    code=code_of(job),
                )
            )
            if state in TERMINAL:
                ended.add(job["id"])
        return ended


def _weighted(chosen: random.Random, weights: Mapping[str, int]) -> str:
    return chosen.choices(list(weights), list(weights.values()))[0]
