"""The model's HTTP front: hands every request on to llama.cpp, and stops it when the client goes away.

llama.cpp's server notices a closed connection only while it streams. So an ordinary completion is fetched as
a stream here and put together again; a client that left is seen at the next token.
"""

import http.client
import json
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BACKEND_TIMEOUT = 3600.0
CHUNK = 16 * 1024
DATA = b"data: "


class Answer:
    """A completion put together from the events of a stream."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._text: list[str] = []
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None

    def add(self, event: dict[str, Any]) -> None:
        self.error = event.get("error", self.error)
        self._usage = event.get("usage") or self._usage
        self._head = self._head or {name: event.get(name) for name in ("id", "created", "model")}
        for choice in event.get("choices", []):
            self._text.append(choice["delta"].get("content") or "")
            self._finish_reason = choice["finish_reason"] or self._finish_reason

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self._text)}
        choice = {"index": 0, "finish_reason": self._finish_reason, "message": message}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage}


class Front(ThreadingHTTPServer):
    """Listens on 127.0.0.1; `backend` is the port of llama.cpp's own server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, backend: int) -> None:
        super().__init__(("127.0.0.1", port), Relay)
        self.backend = backend


class Relay(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    server: Front

    def do_GET(self) -> None:
        self._hand_on(b"")

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = _plain_completion(self.path, payload)
        if request is None:
            self._hand_on(payload)
        else:
            self._complete(request)

    def log_message(self, *_: object) -> None:
        """Quiet: the API and the worker log the same request."""

    def _ask(self, payload: bytes) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        backend = http.client.HTTPConnection("127.0.0.1", self.server.backend, timeout=BACKEND_TIMEOUT)
        backend.request(self.command, self.path, payload or None, {"Content-Type": "application/json"})
        return backend, backend.getresponse()

    def _complete(self, request: dict[str, Any]) -> None:
        streamed = {**request, "stream": True, "stream_options": {"include_usage": True}}
        backend, reply = self._ask(json.dumps(streamed).encode())
        try:
            if reply.status != http.client.OK:
                self._send(reply.status, reply.read())
                return
            answer = Answer()
            for line in reply:
                if line.startswith(DATA) and not line.startswith(DATA + b"[DONE]"):
                    answer.add(json.loads(line[len(DATA) :]))
                if _is_closed(self.connection):
                    self.close_connection = True
                    return
            status = int(answer.error.get("code", 500)) if answer.error else http.client.OK
            body = {"error": answer.error} if answer.error else answer.whole()
            self._send(status, json.dumps(body).encode())
        finally:
            reply.close()
            backend.close()

    def _hand_on(self, payload: bytes) -> None:
        backend, reply = self._ask(payload)
        try:
            if reply.length is not None:
                self._send(reply.status, reply.read())
                return
            self.close_connection = True
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers.get("Content-Type", "text/event-stream"))
            self.send_header("Connection", "close")
            self.end_headers()
            while chunk := reply.read1(CHUNK):
                self.wfile.write(chunk)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            reply.close()
            backend.close()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _plain_completion(path: str, payload: bytes) -> dict[str, Any] | None:
    """The request, if it is an ordinary completion of one text; everything else is llama.cpp's to judge."""
    try:
        request = json.loads(payload)
    except ValueError:
        return None
    if not path.endswith("/chat/completions") or not isinstance(request, dict):
        return None
    special = request.get("stream") or request.get("tools") or request.get("logprobs") or request.get("n", 1) != 1
    return None if special else request


def _is_closed(client: socket.socket) -> bool:
    """Whether the client has gone: an end of file while it should be waiting."""
    readable, _, _ = select.select([client], [], [], 0)
    try:
        return bool(readable) and client.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
