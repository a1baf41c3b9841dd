"""One chat completion as its directives tell it: waits, then an answer or one of the ways to fail."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.upstream import answers
from tests.upstream.answers import Answer
from tests.upstream.controls import Controls
from tests.upstream.directives import Directive, without_directives
from tests.upstream.journal import Call, Ended
from tests.upstream.wire import Reply, Request, RequestError


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str
    prompt: str
    prompt_tokens: int
    stream: bool
    include_usage: bool

    @classmethod
    def read(cls, request: Request) -> "ChatRequest":
        body = request.json_object()
        messages, model = body.get("messages"), body.get("model")
        if not isinstance(messages, list) or not messages or not isinstance(model, str):
            raise RequestError(400, "send a model and a list of messages")
        if not all(isinstance(message, dict) for message in messages):
            raise RequestError(400, "a message is not an object; send role and content")
        texts = [(message.get("role"), _text(message.get("content"))) for message in messages]
        return cls(
            model=model,
            prompt=next((text for role, text in reversed(texts) if role == "user"), ""),
            prompt_tokens=sum(len(text.split()) for _, text in texts),
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


class Performance:
    """Plays directives in their order; the first that ends the call wins, and without one it is answered."""

    def __init__(
        self, chat: ChatRequest, call: Call, reply: Reply, controls: Controls, request_headers: Mapping[str, str]
    ) -> None:
        self._chat, self._call, self._reply, self._controls = chat, call, reply, controls
        self._request_headers = request_headers
        self._answer = Answer(
            id=f"chatcmpl-mock-{call.sequence}",
            model=chat.model,
            prompt_tokens=chat.prompt_tokens,
            text=f"echo: {without_directives(chat.prompt)}",
        )
        self._headers = {"x-request-id": f"req-mock-{call.sequence}"}

    async def play(self, directives: Sequence[Directive]) -> Ended:
        for directive in directives:
            if ended := await ACTS[directive.name](self, directive):
                return ended
        return await self._deliver()

    async def _deliver(self) -> Ended:
        if self._chat.stream:
            return await self._stream(self._events())
        if self._answer.rate:
            await asyncio.sleep(len(self._answer.pieces()) / self._answer.rate)
        await self._reply.send(200, self._body(), self._headers)
        return "answered"

    def _body(self) -> bytes:
        return json.dumps(self._answer.completion()).encode()

    def _events(self) -> list[str]:
        return [json.dumps(chunk) for chunk in self._answer.chunks(include_usage=self._chat.include_usage)]

    async def _stream(self, events: Iterable[str], *, last: str = "[DONE]") -> Ended:
        await self._send_events(events)
        await self._reply.send_event(last)
        await self._reply.end_stream()
        return "answered"

    async def _send_events(self, events: Iterable[str]) -> None:
        await self._reply.start_stream(self._headers)
        clock = asyncio.get_running_loop()
        due = clock.time()
        for event in events:
            await self._reply.send_event(event)
            if self._answer.rate:
                due += 1 / self._answer.rate
                await asyncio.sleep(due - clock.time())

    # Waits

    async def _sleep(self, directive: Directive) -> None:
        await asyncio.sleep(directive.args[0])

    async def _gate(self, directive: Directive) -> None:
        await self._controls.gate(directive.args[0]).wait()

    async def _hang(self, _: Directive) -> None:
        await asyncio.Event().wait()

    # Ends

    async def _status(self, directive: Directive) -> Ended:
        return await self._fail(directive.args[0], directive.options)

    async def _error(self, directive: Directive) -> Ended:
        return await self._fail(directive.options.get("status", 400), directive.options)

    async def _fail_first(self, directive: Directive) -> Ended | None:
        if self._call.attempt > directive.args[0]:
            return None
        if by := directive.options.get("by"):
            return await ACTS[by](self, Directive(by))
        return await self._fail(directive.options.get("status", 500), directive.options)

    async def _fail(self, status: int, options: Mapping[str, Any]) -> Ended:
        headers = dict(self._headers)
        if (retry_after := options.get("retry-after")) is not None:
            headers["retry-after"] = str(retry_after)
        body = answers.error(status, options.get("code"), options.get("message"))
        await self._reply.send_json(status, body, headers)
        return "answered"

    async def _reset(self, _: Directive) -> Ended:
        self._reply.reset()
        return "reset"

    async def _close(self, _: Directive) -> Ended:
        self._reply.close()
        return "closed"

    async def _half(self, _: Directive) -> Ended:
        if self._chat.stream:
            events = self._events()
            await self._send_events(events[: len(events) // 2])
            self._reply.close()
        else:
            await self._reply.send_half(self._body(), self._headers)
        return "cut"

    async def _stream_error(self, directive: Directive) -> Ended:
        failure = answers.error(500, directive.options.get("code"), directive.options.get("message"))
        events = self._events()
        return await self._stream(events[: len(events) // 2], last=json.dumps(failure))

    async def _garbage(self, directive: Directive) -> Ended:
        headers = {**self._headers, "content-type": directive.options.get("type", "application/json")}
        await self._reply.send(directive.options.get("status", 200), b"<html>this is no JSON", headers)
        return "answered"

    async def _json(self, directive: Directive) -> Ended:
        await self._reply.send_json(200, directive.args[0], self._headers)
        return "answered"

    # Shapes of the answer

    async def _tokens(self, directive: Directive) -> None:
        self._answer.text = " ".join(f"w{number}" for number in range(1, directive.args[0] + 1))
        self._answer.rate = directive.options.get("rate")

    async def _huge(self, directive: Directive) -> None:
        self._answer.text = "x" * directive.args[0]

    async def _show_headers(self, _: Directive) -> None:
        self._answer.text = json.dumps(dict(self._request_headers), sort_keys=True)

    async def _finish(self, directive: Directive) -> None:
        self._answer.finish = directive.args[0]

    async def _tool(self, directive: Directive) -> None:
        self._answer.call_tool(*directive.args)

    async def _empty_choices(self, _: Directive) -> None:
        self._answer.has_choices = False

    async def _null_content(self, _: Directive) -> None:
        self._answer.text = None

    async def _nul_char(self, _: Directive) -> None:
        self._answer.text = "before\0after"

    async def _no_usage(self, _: Directive) -> None:
        self._answer.has_usage = False


ACTS: Mapping[str, Callable[[Performance, Directive], Awaitable[Ended | None]]] = {
    "sleep": Performance._sleep,
    "gate": Performance._gate,
    "hang": Performance._hang,
    "status": Performance._status,
    "error": Performance._error,
    "fail-first": Performance._fail_first,
    "reset": Performance._reset,
    "close": Performance._close,
    "half": Performance._half,
    "half-stream": Performance._half,
    "stream-error": Performance._stream_error,
    "garbage": Performance._garbage,
    "json": Performance._json,
    "tokens": Performance._tokens,
    "huge": Performance._huge,
    "headers": Performance._show_headers,
    "finish": Performance._finish,
    "tool": Performance._tool,
    "empty-choices": Performance._empty_choices,
    "null-content": Performance._null_content,
    "nul-char": Performance._nul_char,
    "no-usage": Performance._no_usage,
}
