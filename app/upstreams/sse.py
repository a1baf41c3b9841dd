"""Server-sent events: their data, out of bytes as they arrive."""

from collections.abc import Iterable, Iterator


def event_data(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event. Lines end in LF or CRLF; the last event counts even if nothing ends it."""
    data: list[bytes] = []
    for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # Bytes, not text: text splits at U+2028 and its like too, which JSON strings may hold as they are.
    begun: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun).removesuffix(b"\r")
            begun = [other]
    yield b"".join(begun)
