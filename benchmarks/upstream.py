"""A model server that answers chat completions with as little work as it can: `python -m benchmarks.upstream --port N`.

The prompt may say how: `[[after S]]` answers S seconds later; `[[tokens N at R]]` streams N pieces, R a second, each
with the time at which it left (`time.time()`), for whoever measures how late it arrives.
"""

import argparse
import asyncio
import json
import re
import time
from typing import Any

import click

_AFTER = re.compile(rb"\[\[after ([\d.]+)\]\]")
_TOKENS = re.compile(rb"\[\[tokens (\d+) at ([\d.]+)\]\]")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_BASE = {"id": "chatcmpl-bench", "created": 1, "model": "bench"}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "Here it is."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({**_BASE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _piece(**choice: Any) -> bytes:
    event = {**_BASE, "object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": None, **choice}]}
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


_ANSWER = _whole()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_DONE = b"data: [DONE]\n\n"
_STREAM_END = _piece(delta={}, finish_reason="stop") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_DONE), _DONE)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None
        self._running: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._running:
            self._running.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, end + 2) if end >= 0 else None
        if length and len(self._received) >= end + 4 + int(length[1]):
            request, self._received = self._received, b""
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        if tokens := _TOKENS.search(request):
            self._running = loop.create_task(self._stream(int(tokens[1]), float(tokens[2])))
        elif after := _AFTER.search(request):
            loop.call_later(float(after[1]), self._write, _ANSWER)
        elif b'"stream":true' in request or b'"stream": true' in request:
            self._running = loop.create_task(self._stream(1, 1000))
        else:
            self._write(_ANSWER)

    async def _stream(self, pieces: int, rate: float) -> None:
        loop = asyncio.get_running_loop()
        self._write(_STREAM_HEAD)
        started_at = loop.time()
        for number in range(pieces):
            # On schedule, not so long after the last one: a late piece does not put off all others.
            await asyncio.sleep(max(0.0, started_at + number / rate - loop.time()))
            self._write(_piece(delta={"content": f"{time.time():.4f} "}))
        self._write(_STREAM_END)

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=10_000)
    click.echo("ready")
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))
