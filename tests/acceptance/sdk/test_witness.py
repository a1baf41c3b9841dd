"""The witness must see what is wrong, or all tests that rely on it would see nothing."""

import json

import pytest

from tests.acceptance.sdk.witness import Witness

PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
STREAM = "text/event-stream; charset=utf-8"


def _delta(number: int, **more: object) -> bytes:
    kind = "response.output_text.delta"
    event = {"type": kind, "sequence_number": number, **PLACE, "delta": "so", **more}
    return f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def _seen(*chunks: bytes, query: str = "", content_type: str = STREAM, status: int = 200) -> list[str]:
    witness = Witness()
    reader = witness.read(f"http://127.0.0.1/v1/responses/resp_1{query}", status, content_type)
    for chunk in chunks:
        reader.feed(chunk)
    reader.end()
    return witness.problems


def test_a_good_stream_is_good() -> None:
    assert _seen(_delta(0), b": keep-alive\n\n", _delta(1)[:20], _delta(1)[20:], DONE) == []
    assert _seen(_delta(5), DONE, query="?stream=true&starting_after=4") == []


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([_delta(0)], "ended without [DONE]"),
        ([_delta(0), DONE, _delta(1)], "goes on after [DONE]"),
        ([_delta(0), _delta(2), DONE], "2 where 1 was due"),
        ([_delta(1), DONE], "1 where 0 was due"),
        ([_delta(0) + _delta(1), DONE], "more than one frame in one write"),
        ([_delta(0).replace(b"event: response", b"event: other"), DONE], "event: other.output_text.delta"),
        ([_delta(0)[len("event: response.output_text.delta\n") :], DONE], "no frame"),
        ([b"event: error\ndata: {\n\n", DONE], "no such event"),
        ([_delta(0, delta=7), DONE], "7 is not of type 'string'"),
        ([_delta(0, type="response.no_such"), DONE], "no event response.no_such"),
    ],
)
def test_a_bad_stream_is_bad(chunks: list[bytes], problem: str) -> None:
    assert any(problem in seen for seen in _seen(*chunks))


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"<html>", 200, "no such body"),
        (b"[]", 200, "no such body"),
        (b'{"object": "response"}', 200, "'id' is a required property"),
        (b'{"error": {"message": "No.", "type": "server_error", "code": null}}', 500, "'param' is a required"),
    ],
)
def test_a_bad_body_is_bad(body: bytes, status: int, problem: str) -> None:
    assert any(problem in seen for seen in _seen(body, content_type="application/json", status=status))
