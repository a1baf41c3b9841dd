"""The chat upstream against a real server that misbehaves on demand, over real connections."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from app.domain.ids import new_id, public_id
from app.domain.jobs import Completed, Failure, InputMessage, Usage
from app.domain.ports import UpstreamError
from app.settings import Settings
from app.upstreams.catalog import Catalog
from app.upstreams.chat import ChatUpstream
from app.upstreams.registry import UpstreamRegistry
from tests.integration.upstreams.conftest import DEADLINE, KEY, Ask, failed, request, text
from tests.processes import free_port
from tests.upstream.client import MockUpstream


def test_an_answer_is_a_message_with_its_usage(chat: ChatUpstream) -> None:
    job_id = new_id()
    answer = chat.complete(request("say hi"), model="m", job_id=job_id, timeout=DEADLINE)
    assert answer == Completed(
        [
            {
                "type": "message",
                "id": f"msg_{job_id.hex}",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "echo: say hi", "annotations": []}],
            }
        ],
        Usage(input_tokens=2, output_tokens=3, total_tokens=5),
    )


@pytest.mark.parametrize(
    ("directive", "failure", "retryable"),
    [
        ("[[status 400]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 401]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 403]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 404]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 422]]", Failure.UPSTREAM_ERROR, False),
        ("[[status 408]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[status 409]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[status 500]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[status 503]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[status 529]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[status 429]]", Failure.UPSTREAM_RATE_LIMITED, True),
        ("[[status 429 code=insufficient_quota]]", Failure.UPSTREAM_RATE_LIMITED, False),
        ("[[error code=context_length_exceeded]]", Failure.CONTEXT_LENGTH_EXCEEDED, False),
        ("[[error code=invalid_prompt]]", Failure.INVALID_PROMPT, False),
        ("[[error status=500 code=content_filter]]", Failure.INVALID_PROMPT, False),
        ("[[reset]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[close]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[half]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[garbage]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ("[[garbage type=text/html]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ("[[garbage status=500]]", Failure.UPSTREAM_UNAVAILABLE, True),
        ("[[empty-choices]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ("[[null-content]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ("[[tool look_up {}]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ("[[json {}]]", Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": null}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": "text"}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": ["text"]}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": [{}]}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": [{"message": "text"}]}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"choices": [{"message": {"content": {"a": 1}}}]}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
        ('[[json {"error": {"message": "no"}}]]', Failure.UPSTREAM_INVALID_RESPONSE, True),
    ],
)
def test_each_way_to_fail(ask: Ask, mark: str, directive: str, failure: Failure, retryable: bool) -> None:
    error = failed(ask, f"{mark} {directive}")
    assert (error.failure, error.retryable) == (failure, retryable)


def test_the_sdk_does_not_try_again_by_itself(ask: Ask, upstream: MockUpstream, mark: str) -> None:
    for directive in ("[[status 500]]", "[[reset]]", "[[garbage]]"):
        failed(ask, f"{mark} {directive}")
    assert len(upstream.calls(mark)) == 3


@pytest.mark.parametrize(("directive", "seconds"), [("retry-after=7", 7), ("retry-after=0.5", 0.5), ("", None)])
def test_the_servers_wish_to_wait_is_kept(ask: Ask, directive: str, seconds: float | None) -> None:
    assert failed(ask, f"[[status 429 {directive}]]").retry_after == seconds


def test_a_server_that_hangs_is_given_up_and_its_connection_closed(ask: Ask, upstream: MockUpstream, mark: str) -> None:
    error = failed(ask, f"{mark} [[hang]]", timeout=0.5)
    assert (error.failure, error.retryable) == (Failure.UPSTREAM_UNAVAILABLE, True)
    assert upstream.wait_closed(mark, DEADLINE).ended_at


def test_a_server_that_is_not_there() -> None:
    chat = ChatUpstream(f"http://127.0.0.1:{free_port()}/v1", None, connect_timeout=5)
    with pytest.raises(UpstreamError) as raised:
        chat.complete(request("hi"), model="m", job_id=new_id(), timeout=DEADLINE)
    assert (raised.value.failure, raised.value.retryable) == (Failure.UPSTREAM_UNAVAILABLE, True)


@pytest.mark.parametrize(
    ("directive", "status", "reason"),
    [
        ("[[finish stop]]", "completed", None),
        ("[[finish length]]", "incomplete", "max_output_tokens"),
        ("[[finish content_filter]]", "incomplete", "content_filter"),
        ("[[finish odd]]", "completed", None),
        ('[[json {"choices": [{"finish_reason": {"a": 1}, "message": {"content": "x"}}]}]]', "completed", None),
    ],
)
def test_an_answer_that_was_cut_off_says_why(ask: Ask, directive: str, status: str, reason: str | None) -> None:
    answer = ask(f"hi {directive}")
    assert (answer.output[0]["status"], answer.incomplete_reason) == (status, reason)


def test_a_refusal_is_an_answer(ask: Ask) -> None:
    answer = ask('[[json {"choices": [{"message": {"content": null, "refusal": "No."}}]}]]')
    assert answer.output[0]["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(
    "directive",
    ["[[no-usage]]", '[[json {"choices": [{"message": {"content": "x"}}], "usage": {"total_tokens": "3"}}]]'],
)
def test_usage_that_the_server_does_not_tell_is_unknown(ask: Ask, directive: str) -> None:
    assert ask(f"hi {directive}").usage is None


def test_unusual_text_arrives_as_it_was_sent(ask: Ask) -> None:
    assert text(ask("[[nul-char]]")) == "before\0after"
    assert text(ask("\U0001f600 \u202e \x1b[31m é")) == "echo: \U0001f600 \u202e \x1b[31m é"
    assert len(text(ask("[[huge 3000000]]"))) == 3_000_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Bodies of requests on their way to the server."""
    bodies: list[dict[str, Any]] = []
    through = httpx2.HTTPTransport.handle_request

    def record(transport: httpx2.HTTPTransport, asked: httpx2.Request) -> httpx2.Response:
        bodies.append(httpx2.Response(200, content=asked.read()).json())
        return through(transport, asked)

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", record)
    return bodies


def test_only_what_was_asked_for_is_sent(chat: ChatUpstream, sent: list[dict[str, Any]]) -> None:
    chat.complete(request("hi"), model="real-name", job_id=new_id(), timeout=DEADLINE)
    assert sent == [{"model": "real-name", "messages": [{"role": "user", "content": "hi"}]}]


def test_everything_that_was_asked_for_is_sent(chat: ChatUpstream, sent: list[dict[str, Any]]) -> None:
    full = replace(
        request("hi"),
        inputs=(InputMessage("system", ("a", "b")), InputMessage("assistant", ()), InputMessage("user", ("hi",))),
        instructions="be brief",
        temperature=0,
        top_p=0.5,
        max_output_tokens=7,
        metadata={"k": "v"},
    )
    chat.complete(full, model="m", job_id=new_id(), timeout=DEADLINE)
    assert sent == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "system", "content": "a\n\nb"},
                {"role": "assistant", "content": ""},
                {"role": "user", "content": "hi"},
            ],
            "temperature": 0,
            "top_p": 0.5,
            "max_tokens": 7,
        }
    ]


def test_the_limit_of_the_answer_goes_by_the_name_that_the_server_knows(
    upstream: MockUpstream, settings: Settings, sent: list[dict[str, Any]]
) -> None:
    server = {"base_url": upstream.base_url, "max_tokens_parameter": "max_completion_tokens"}
    catalog = Catalog.model_validate({"upstreams": {"u": server}, "models": {"*": {"upstream": "u"}}})
    route = UpstreamRegistry(catalog, settings).route("m")
    limited = replace(request("hi"), max_output_tokens=7)
    route.upstream.complete(limited, model=route.model, job_id=new_id(), timeout=DEADLINE)
    (body,) = sent
    assert isinstance(route.upstream, ChatUpstream)
    route.upstream._client.close()
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body


def test_the_server_sees_its_key_and_the_jobs_id(chat: ChatUpstream, upstream: MockUpstream, mark: str) -> None:
    job_id = new_id()
    chat.complete(request(mark), model="m", job_id=job_id, timeout=DEADLINE)
    (call,) = upstream.calls(mark)
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["x-client-request-id"] == public_id(job_id)
    assert (call.model, call.stream) == ("m", False)


def test_calls_one_after_the_other_share_a_connection(ask: Ask, upstream: MockUpstream) -> None:
    ask("first")
    before = upstream.stats().connections
    for number in range(5):
        ask(str(number))
        failed(ask, "[[status 500]]")
    # Fewer, if one of an earlier test's went away meanwhile.
    assert upstream.stats().connections <= before


def test_calls_at_once_do_not_wait_for_each_other(ask: Ask, upstream: MockUpstream, mark: str) -> None:
    crowd = 120  # more than the pool keeps alive, and more than httpx2 would open by default
    with ThreadPoolExecutor(crowd) as threads:
        answers = [threads.submit(ask, f"{mark} {number} [[gate {mark}]]") for number in range(crowd)]
        upstream.wait_in_flight(crowd, DEADLINE)
        upstream.open_gate(mark)
        assert {text(answer.result(DEADLINE)) for answer in answers} == {f"echo: {mark} {n}" for n in range(crowd)}
