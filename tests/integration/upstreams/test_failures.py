"""The upstreams against a real server that fails on demand, over real connections."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.domain.deltas import Delta
from app.domain.jobs import Failure
from app.domain.ports import Upstream, UpstreamError
from app.upstreams.chat import ChatUpstream
from app.upstreams.connection import ModelServer
from app.upstreams.responses import ResponsesUpstream
from tests.integration.upstreams.conftest import DEADLINE, JOB, Ask, Way, answered, failed, request
from tests.processes import free_port
from tests.upstream.client import MockUpstream

UNAVAILABLE, INVALID = Failure.UPSTREAM_UNAVAILABLE, Failure.UPSTREAM_INVALID_RESPONSE


@pytest.mark.parametrize(
    ("directive", "failure", "retryable"),
    [
        ("[[status 400]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 401]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 403]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 404]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 422]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 408]]", UNAVAILABLE, True),
        ("[[status 409]]", UNAVAILABLE, True),
        ("[[status 500]]", UNAVAILABLE, True),
        ("[[status 503]]", UNAVAILABLE, True),
        ("[[status 529]]", UNAVAILABLE, True),
        ("[[status 429]]", Failure.UPSTREAM_RATE_LIMITED, True),
        ("[[status 429 code=insufficient_quota]]", Failure.UPSTREAM_RATE_LIMITED, False),
        ("[[error code=context_length_exceeded]]", Failure.CONTEXT_LENGTH_EXCEEDED, False),
        ("[[error code=invalid_prompt]]", Failure.INVALID_PROMPT, False),
        ("[[error status=500 code=content_filter]]", Failure.INVALID_PROMPT, False),
        ("[[failed]]", UNAVAILABLE, True),
        ("[[failed code=server_error]]", UNAVAILABLE, True),
        ("[[failed code=rate_limit_exceeded]]", Failure.UPSTREAM_RATE_LIMITED, True),
        ("[[failed code=invalid_prompt]]", Failure.INVALID_PROMPT, False),
        ("[[reset]]", UNAVAILABLE, True),
        ("[[close]]", UNAVAILABLE, True),
        ("[[half]]", UNAVAILABLE, True),
        ("[[garbage]]", INVALID, True),
        ("[[garbage type=text/html]]", INVALID, True),
        ("[[garbage status=500]]", UNAVAILABLE, True),
        ("[[json {}]]", INVALID, True),
        ('[[json {"choices": null, "output": null}]]', INVALID, True),
        ('[[json {"choices": "text", "output": "text"}]]', INVALID, True),
    ],
)
def test_each_way_to_fail(ask: Ask, mark: str, directive: str, failure: Failure, retryable: bool) -> None:
    error = failed(ask, f"{mark} {directive}")
    assert (error.failure, error.retryable) == (failure, retryable)


@pytest.mark.parametrize(
    ("directive", "failure", "retryable"),
    [
        ("[[no-finish]]", UNAVAILABLE, True),
        ("[[empty-choices]]", UNAVAILABLE, True),
        ("[[garbage-frame]]", UNAVAILABLE, True),
        ("[[half-stream]]", UNAVAILABLE, True),
        ("[[stream-error]]", UNAVAILABLE, True),
        ("[[stream-error code=server_error]]", UNAVAILABLE, True),
        ("[[stream-error code=rate_limit_exceeded]]", Failure.UPSTREAM_RATE_LIMITED, True),
        ("[[stream-error code=insufficient_quota]]", Failure.UPSTREAM_RATE_LIMITED, False),
        ("[[stream-error code=context_length_exceeded]]", Failure.CONTEXT_LENGTH_EXCEEDED, False),
    ],
)
@pytest.mark.parametrize("way", ["stream"])
def test_each_way_to_break_off(ask: Ask, mark: str, directive: str, failure: Failure, retryable: bool) -> None:
    error = failed(ask, f"{mark} some words before {directive}")
    assert (error.failure, error.retryable) == (failure, retryable)


@pytest.mark.parametrize("directive", ["[[no-finish]]", "[[garbage-frame]]", "[[half-stream]]", "[[stream-error]]"])
def test_what_came_before_a_stream_broke_off_was_told(either: Upstream, directive: str) -> None:
    told: list[Delta] = []
    with (
        pytest.raises(UpstreamError),
        closing(
            either.stream(request(f"[[tokens 20]] {directive}"), model="m", job_id=JOB, timeout=DEADLINE)
        ) as deltas,
    ):
        told.extend(deltas)  # extend keeps what came before the error
    assert len(told) > 5


@pytest.mark.parametrize("directive", ["[[status 500]]", "[[reset]]", "[[garbage]]"])
def test_the_sdk_does_not_try_again_by_itself(ask: Ask, upstream: MockUpstream, mark: str, directive: str) -> None:
    failed(ask, f"{mark} {directive}")
    assert len(upstream.calls(mark)) == 1


@pytest.mark.parametrize(("directive", "seconds"), [("retry-after=7", 7), ("retry-after=0.5", 0.5), ("", None)])
def test_the_servers_wish_to_wait_is_kept(ask: Ask, directive: str, seconds: float | None) -> None:
    assert failed(ask, f"[[status 429 {directive}]]").retry_after == seconds


def test_a_server_that_hangs_is_given_up_and_its_connection_closed(ask: Ask, upstream: MockUpstream, mark: str) -> None:
    error = failed(ask, f"{mark} [[hang]]", timeout=0.5)
    assert (error.failure, error.retryable) == (UNAVAILABLE, True)
    assert "in time" in error.message
    assert upstream.wait_closed(mark, DEADLINE).ended_at


def test_a_server_that_falls_silent_amid_its_answer_is_given_up(
    either: Upstream, upstream: MockUpstream, mark: str
) -> None:
    with pytest.raises(UpstreamError, match="in time") as raised:
        answered(either, "stream", request(f"{mark} [[tokens 9 rate=0.01]]"), timeout=0.5)
    assert (raised.value.failure, raised.value.retryable) == (UNAVAILABLE, True)
    assert upstream.wait_closed(mark, DEADLINE).ended_at


@pytest.fixture
def nowhere() -> Iterator[ModelServer]:
    with closing(ModelServer(f"http://127.0.0.1:{free_port()}/v1", None, connect_timeout=5)) as server:
        yield server


@pytest.mark.parametrize("protocol", [ChatUpstream, ResponsesUpstream])
def test_a_server_that_is_not_there(
    nowhere: ModelServer, protocol: type[ChatUpstream | ResponsesUpstream], way: Way
) -> None:
    with pytest.raises(UpstreamError) as raised:
        answered(protocol(nowhere), way, request("hi"))
    assert (raised.value.failure, raised.value.retryable) == (UNAVAILABLE, True)
