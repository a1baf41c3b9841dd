"""Server-sent events out of bytes, however they are cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstreams.sse import event_data


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"", []),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b": keep-alive\n\n: and more\n\ndata: a\n\n", [b"a"]),
        (b"event: x\n\n", []),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        # line ends of text that are none here
        ("data: a\u2028b\x85c\x0bd\x1ee\n\n".encode(), ["a\u2028b\x85c\x0bd\x1ee".encode()]),
        (b"<html>this is no stream", []),
    ],
)
def test_data(body: bytes, data: list[bytes]) -> None:
    assert list(event_data([body])) == data


@given(st.lists(st.binary(max_size=6).filter(lambda data: not set(data) & {10, 13})), st.data())
def test_pieces_do_not_matter(events: list[bytes], data: st.DataObject) -> None:
    body = b"".join(b"data: %b\r\n\r\n" % event for event in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert list(event_data(pieces)) == events


def test_an_event_comes_as_soon_as_it_is_whole() -> None:
    pieces = iter([b"data: a\n\nda", b"never asked for"])
    assert next(event_data(pieces)) == b"a"
    assert next(pieces) == b"never asked for"
