"""Steady load on several API instances, by clients that do no more than a client library does when one of them goes."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.cluster import TERMINAL

TIMEOUT = 60.0
PAUSE = 0.2
"""Seconds between two requests of one client."""
CROSSING = 3.0
"""Seconds within which a request fails that has crossed the close of an idle connection; a later one was cut."""
IDLE = 1.5
"""Seconds between two requests of the client that keeps its connections idle."""
OPENAI, FREDDY = "/v1/responses", "/v1/model/response"
DONE = b"data: [DONE]"


class RequestFailedError(AssertionError):
    """A client got something that it cannot put right by itself."""


@dataclass
class Balanced:
    """One client: kept-alive connections to every instance, which take turns.

    A refused connection goes to the next instance, and so does a request on a reused connection that was closed before
    the first byte of its reply. Everything else is a failure.
    """

    urls: Sequence[str]
    key: str
    met: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, HTTPConnection] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def open(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[str, HTTPConnection, HTTPResponse]:
        """Send one request; its instance, its connection, and the reply whose head is read."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body)
        turn = next(self._turn) % len(self.urls)
        for url in [*self.urls[turn:], *self.urls[:turn]] * 2:
            connection = self._kept.pop(url, None)
            reused = connection is not None
            connection = connection or HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
            asked_at = time.monotonic()
            try:
                connection.request(method, path, data, sent)
                return url, connection, connection.getresponse()
            except ConnectionRefusedError:
                self.met["refused"] += 1
            except ConnectionError:
                if not reused or time.monotonic() - asked_at > CROSSING:
                    raise
                self.met["closed while idle"] += 1
        raise RequestFailedError("every instance refused")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of a reply, which must be a 200."""
        url, connection, response = self.open(method, path, body, **headers)
        data = json.loads(response.read())
        self.keep(url, connection, response)
        if response.status != 200:
            raise RequestFailedError(f"{method}: {response.status} {data}")
        return data

    def keep(self, url: str, connection: HTTPConnection, response: HTTPResponse) -> None:
        """Keep the connection of a reply that is read, unless the reply said not to."""
        if response.will_close:
            self.met["told to close"] += 1
            connection.close()
        else:
            self._kept[url] = connection

    def frames(self, method: str, path: str, body: Any = None) -> Iterator[bytes]:
        """The frames of one reply that is a stream; raises IncompleteRead if its end is missing."""
        url, connection, response = self.open(method, path, body)
        if response.status != 200:
            raise RequestFailedError(f"stream: {response.status} {response.read()!r}")
        rest = b""
        # Not by lines: http.client's readline() takes a cut connection for the end.
        while data := response.read1(65_536):
            *frames, rest = (rest + data).split(b"\n\n")
            yield from frames
        if rest:
            raise RequestFailedError("a frame was cut")
        self.keep(url, connection, response)


@dataclass
class Load:
    """Runs in the background for the block. `failures` must stay empty, and `created` are the ids of all jobs."""

    urls: Sequence[str]
    key: str
    label: str
    long: str = ""
    """What the model does for jobs that outlast the restarts; they are those of the tier `flex`."""
    failures: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=itertools.count)

    def __enter__(self) -> Self:
        kinds = (
            self._create,
            self._create_with_key,
            self._poll,
            self._wait,
            self._wait_long,
            self._stream,
            self._stream_long,
            self._synchronous,
            self._synchronous_stream,
            self._idle,
        )
        for kind in kinds:
            thread = threading.Thread(target=self._repeat, args=[kind], name=kind.__name__)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send nothing more, and wait for the replies that are due."""
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), thread.name

    def add(self, count: int, script: str) -> None:
        """Create some more background jobs at once."""
        client = Balanced(self.urls, self.key, self.met)
        self.created += [client.ask("POST", OPENAI, self._body(script))["id"] for _ in range(count)]

    def _repeat(self, kind: Callable[[Balanced], None]) -> None:
        client = Balanced(self.urls, self.key, self.met)
        while not self._over.wait(PAUSE):
            try:
                kind(client)
                self.done[kind.__name__] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test has to tell of it
                self.failures.append(f"{kind.__name__}: {error!r}")

    def _body(self, script: str = "", **more: Any) -> dict[str, Any]:
        return {"model": "gpt-4.1", "background": True, "input": f"{self.label} {next(self._number)} {script}", **more}

    def _create(self, client: Balanced) -> None:
        self.created.append(client.ask("POST", OPENAI, self._body())["id"])

    def _create_with_key(self, client: Balanced) -> None:
        body = self._body("[[sleep 0.3]]")
        headers = {"Idempotency-Key": body["input"]}
        first, second = (client.ask("POST", OPENAI, body, **headers)["id"] for _ in range(2))
        self.created.append(first)
        assert first == second

    def _poll(self, client: Balanced) -> None:
        client.ask("GET", f"{FREDDY}?limit=5")
        if self.created:
            job_id = self.created[-1]
            assert client.ask("GET", f"{FREDDY}/{job_id}")["id"] == job_id

    def _wait(self, client: Balanced) -> None:
        self._wait_for(client, self._body("[[sleep 1]]"))

    def _wait_long(self, client: Balanced) -> None:
        self._wait_for(client, self._body(self.long, service_tier="flex"))

    def _wait_for(self, client: Balanced, body: dict[str, Any]) -> None:
        job = client.ask("POST", f"{OPENAI}?wait=30", body)
        self.created.append(job["id"])
        while job["status"] not in TERMINAL:
            # Who waits is told early when its instance goes, and asks again.
            self.met["waits answered early"] += 1
            job = client.ask("GET", f"{OPENAI}/{job['id']}?wait=30")
        assert job["status"] == "completed", job

    def _stream(self, client: Balanced) -> None:
        self._read(client, self._body("[[tokens 30 rate=30]]", stream=True))

    def _stream_long(self, client: Balanced) -> None:
        self._read(client, self._body(self.long, stream=True, service_tier="flex"))

    def _synchronous_stream(self, client: Balanced) -> None:
        self._read(client, self._body("[[tokens 5 rate=30]]", stream=True, background=False))

    def _read(self, client: Balanced, body: dict[str, Any]) -> None:
        """Read a stream to its end; one that ends before it is over is gone on with."""
        frames = list(client.frames("POST", OPENAI, body))
        events = list(read_events(frames))
        job_id = events[0]["response"]["id"]
        self.created.append(job_id)
        while frames[-1] != DONE:
            self.met["streams gone on with"] += 1
            after = events[-1]["sequence_number"]
            frames = list(client.frames("GET", f"{OPENAI}/{job_id}?stream=true&starting_after={after}"))
            events += read_events(frames)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert events[-1]["type"] == "response.completed", events[-1]
        self.streamed.append(job_id)

    def _synchronous(self, client: Balanced) -> None:
        job = client.ask("POST", OPENAI, self._body("[[sleep 0.3]]", background=False))
        self.created.append(job["id"])
        assert job["status"] == "completed", job

    def _idle(self, client: Balanced) -> None:
        client.ask("GET", "/v1/models")
        self._over.wait(IDLE)


def read_events(frames: Sequence[bytes]) -> Iterator[Any]:
    for frame in frames:
        if frame.startswith(b"event: "):
            yield json.loads(frame.split(b"\n", 1)[1].removeprefix(b"data: "))
