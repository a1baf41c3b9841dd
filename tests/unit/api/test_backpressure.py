"""Who gets a place in a busy process, and that a refused request costs nothing and leaves nothing."""

import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from app.api.backpressure import BURST, PAUSES, REST, Asking, Backpressure, Gate, aside
from app.api.headers import EVERY

PLACES = 8
CREATE, POLL, OTHER = Asking(True, "a"), Asking(False, "a"), Asking(False, "b")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    """One that had no rest for a while, but has hardly anything to do."""
    made = Gate(PLACES, clock)
    assert made.enter(Asking(False, "long"))
    clock.now += REST
    return made


def fill(gate: Gate, asking: Asking) -> int:
    """How many more of these get in."""
    return next(number for number in range(1000) if not gate.enter(asking))


def anybody(number: int) -> Asking:
    return Asking(False, str(number))


def test_there_are_so_many_places(gate: Gate) -> None:
    assert [gate.enter(anybody(number)) for number in range(PLACES)] == [True] * (PLACES - 1) + [False]


def test_creates_leave_places_to_others(gate: Gate) -> None:
    assert fill(gate, CREATE) == PLACES // 2
    assert not gate.enter(Asking(True, "b"))
    assert gate.enter(POLL)


def test_one_key_leaves_places_to_others(gate: Gate) -> None:
    assert fill(gate, POLL) == PLACES * 3 // 4
    assert gate.enter(OTHER)


def test_a_place_is_given_back(gate: Gate) -> None:
    taken = fill(gate, CREATE)
    for _ in range(taken):
        gate.leave(CREATE)
    assert gate.taken == 1
    assert fill(gate, CREATE) == taken


def test_after_a_rest_there_is_room_for_a_burst_but_not_for_long(clock: Clock) -> None:
    gate = Gate(PLACES, clock)
    clock.now += 3600
    assert fill(gate, CREATE) == PLACES // 2 * BURST
    gate.leave(CREATE)
    clock.now += REST
    assert not gate.enter(CREATE)
    while gate.taken >= PLACES // 2:
        gate.leave(CREATE)
    assert gate.enter(CREATE)
    assert not gate.enter(CREATE)


def test_only_a_moment_without_work_is_a_rest(gate: Gate, clock: Clock) -> None:
    for _ in range(10):
        assert fill(gate, CREATE) == PLACES // 2
        for _ in range(PLACES // 2):
            gate.leave(CREATE)
        clock.now += REST / 2


@pytest.mark.parametrize("places", [1, 2, 3])
def test_however_few_the_places_each_kind_of_request_gets_one(clock: Clock, places: int) -> None:
    for asking in (CREATE, POLL):
        assert Gate(places, clock).enter(asking)


def test_nothing_is_remembered_of_keys_that_left(gate: Gate) -> None:
    for number in range(100):
        gate.enter(anybody(number))
        gate.leave(anybody(number))
        gate.enter(Asking(True, "x" * number))
    assert len(gate._of_key) <= PLACES


def nothing() -> None:
    pass


@dataclass
class App:
    """Does what a test wants while it answers."""

    meanwhile: Callable[[], object] = nothing
    asked: list[str] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        self.meanwhile()
        start_response("200 OK", [])
        return [b"ok"]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def only_place(clock: Clock) -> Gate:
    return Gate(1, clock)


@pytest.fixture
def counted() -> list[str]:
    """The codes of the refusals that were counted."""
    return []


@pytest.fixture
def client(app: App, only_place: Gate, counted: list[str]) -> Client:
    return Client(Backpressure(app, only_place, counted.append))


Inner = Callable[..., TestResponse]


@pytest.fixture
def inner(app: App, client: Client, clock: Clock) -> Inner:
    """Gives the answer to a request that comes while another has the only place, or waits."""

    def inner(path: str = "/v1/models", *, waits: bool = False, **options: Any) -> TestResponse:
        answers = []

        def meanwhile() -> None:
            app.meanwhile = nothing
            clock.now += REST
            with aside() if waits else nullcontext():
                answers.append(client.open(path, **options))

        app.meanwhile = meanwhile
        assert client.get("/v1/models").status_code == 200
        return answers[0]

    return inner


def test_a_refusal_says_what_to_do_and_does_not_reach_the_app(app: App, inner: Inner, counted: list[str]) -> None:
    answer = inner(method="POST", data="{")
    assert answer.status == "503 Service Unavailable"
    error = json.loads(answer.data)["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "overloaded", None)
    assert int(answer.headers["Retry-After"]) in PAUSES
    assert answer.headers["X-Request-Id"].startswith("req_")
    assert answer.content_type == "application/json"
    assert EVERY.items() <= dict(answer.headers).items()
    assert len(app.asked) == 1
    assert counted == ["overloaded"]


def test_those_who_are_refused_together_do_not_come_back_together(inner: Inner) -> None:
    pauses = {inner().headers["Retry-After"] for _ in PAUSES}
    assert pauses == {str(pause) for pause in PAUSES}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_is_never_refused(inner: Inner, path: str) -> None:
    assert inner(path).status_code == 200


def test_who_waits_has_no_place_and_takes_it_again(inner: Inner) -> None:
    assert inner(waits=True).status_code == 200
    assert inner().status_code == 503
    assert inner(waits=True).status_code == 200


def test_a_place_is_given_back_when_the_app_fails(app: App, client: Client, only_place: Gate) -> None:
    def fail() -> None:
        app.meanwhile = nothing
        raise ZeroDivisionError

    app.meanwhile = fail
    with pytest.raises(ZeroDivisionError):
        client.get("/v1/models")
    assert only_place.taken == 0


def test_a_request_without_a_place_may_wait(app: App, client: Client, only_place: Gate) -> None:
    def wait() -> None:
        with aside():
            pass

    app.meanwhile = wait
    assert client.get("/healthz").status_code == 200
    assert only_place.taken == 0


def test_refusals_are_logged_but_not_each(inner: Inner, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        inner(headers={"Authorization": "Bearer sk-simmer-secret"})
    assert len(caplog.records) == 1
    assert "secret" not in str(vars(caplog.records[0]))
