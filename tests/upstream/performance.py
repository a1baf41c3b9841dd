"""One answer as its directives tell it: waits, then an answer or one of the ways to fail."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from tests.upstream import answers, chat, responses
from tests.upstream.answers import Answer
from tests.upstream.controls import Controls
from tests.upstream.directives import Directive, without_directives
from tests.upstream.journal import Call, Ended
from tests.upstream.questions import Question
from tests.upstream.wire import Reply

_STREAM_END = "[DONE]"


class Performance:
    """Plays directives in their order; the first that ends the call wins, and without one it is answered."""

    def __init__(
        self, question: Question, call: Call, reply: Reply, controls: Controls, request_headers: Mapping[str, str]
    ) -> None:
        self._question, self._call, self._reply, self._controls = question, call, reply, controls
        self._request_headers = request_headers
        self._answer = Answer(
            key=f"{crc32(question.prompt.encode(errors='surrogatepass')):08x}",
            model=question.model,
            prompt_tokens=question.prompt_tokens,
            text=f"echo: {without_directives(question.prompt)}",
        )
        self._headers = {"x-request-id": f"req-mock-{call.sequence}"}

    async def play(self, directives: Sequence[Directive]) -> Ended:
        for directive in directives:
            if ended := await ACTS[directive.name](self, directive):
                return ended
        return await self._deliver()

    async def _deliver(self) -> Ended:
        if self._question.stream:
            return await self._stream(self._events())
        if self._answer.rate:
            await asyncio.sleep(len(answers.words(self._answer.text or "")) / self._answer.rate)
        await self._reply.send(200, self._body(), self._headers)
        return "answered"

    @property
    def _is_chat(self) -> bool:
        return self._question.dialect == "chat"

    def _body(self) -> bytes:
        render = chat.completion if self._is_chat else responses.response
        return json.dumps(render(self._answer, self._question)).encode()

    def _events(self) -> list[str]:
        render = chat.chunks if self._is_chat else responses.events
        return [json.dumps(event) for event in render(self._answer, self._question)]

    async def _stream(self, events: Iterable[str], *, last: str | None = None) -> Ended:
        await self._send_events(events)
        if last is not None:
            await self._send_event(last)
        elif self._is_chat:
            await self._reply.send_event(_STREAM_END)
        await self._reply.end_stream()
        return "answered"

    async def _send_events(self, events: Iterable[str]) -> None:
        await self._reply.start_stream(self._headers)
        clock = asyncio.get_running_loop()
        due = clock.time()
        for event in events:
            await self._send_event(event)
            if self._answer.rate:
                due += 1 / self._answer.rate
                await asyncio.sleep(due - clock.time())

    async def _send_event(self, event: str) -> None:
        # Every event of a response begins with its type.
        await self._reply.send_event(event, None if self._is_chat else event.split('"', 4)[3])

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
        if self._question.stream:
            events = self._events()
            await self._send_events(events[: len(events) // 2])
            self._reply.close()
        else:
            await self._reply.send_half(self._body(), self._headers)
        return "cut"

    async def _stream_error(self, directive: Directive) -> Ended:
        failure = answers.error(500, directive.options.get("code"), directive.options.get("message"))
        events = self._events()
        event = failure if self._is_chat else responses.error_event(failure)
        return await self._stream(events[: len(events) // 2], last=json.dumps(event))

    async def _failed(self, directive: Directive) -> Ended | None:
        """Say so where the answer is expected, with status 200."""
        failure = answers.error(500, directive.options.get("code"), directive.options.get("message"))
        if not self._is_chat:
            self._answer.failure = {name: failure["error"][name] for name in ("code", "message")}
            return None
        if self._question.stream:
            return await self._stream([], last=json.dumps(failure))
        await self._reply.send_json(200, failure, self._headers)
        return "answered"

    async def _garbage_frame(self, _: Directive) -> Ended:
        events = self._events()
        await self._send_events(events[: len(events) // 2])
        await self._reply.send_event("{this is no JSON")
        await self._reply.end_stream()
        return "answered"

    async def _garbage(self, directive: Directive) -> Ended:
        headers = {**self._headers, "content-type": directive.options.get("type", "application/json")}
        await self._reply.send(directive.options.get("status", 200), b"<html>this is no JSON", headers)
        return "answered"

    async def _json(self, directive: Directive) -> Ended:
        await self._reply.send_json(200, directive.args[0], self._headers)
        return "answered"

    # Shapes of the answer

    async def _tokens(self, directive: Directive) -> None:
        self._answer.say(" ".join(f"w{number}" for number in range(1, directive.args[0] + 1)))
        self._answer.rate = directive.options.get("rate")

    async def _huge(self, directive: Directive) -> None:
        self._answer.say("x" * directive.args[0])

    async def _show_headers(self, _: Directive) -> None:
        self._answer.say(json.dumps(dict(self._request_headers), sort_keys=True))

    async def _text(self, directive: Directive) -> None:
        self._answer.say(directive.args[0])

    async def _reasoning(self, directive: Directive) -> None:
        self._answer.reasoning.append(directive.args[0])

    async def _raw_reasoning(self, directive: Directive) -> None:
        self._answer.raw_reasoning = True
        self._answer.reasoning.append(directive.args[0])

    async def _refusal(self, directive: Directive) -> None:
        self._answer.refuse(directive.args[0])

    async def _web_search(self, _: Directive) -> None:
        self._answer.searched = True

    async def _finish(self, directive: Directive) -> None:
        self._answer.finish = directive.args[0]

    async def _no_finish(self, _: Directive) -> None:
        self._answer.has_end = False

    async def _tool(self, directive: Directive) -> None:
        self._answer.call_tool(*directive.args)

    async def _interleaved(self, _: Directive) -> None:
        self._answer.interleaved = True

    async def _cached(self, directive: Directive) -> None:
        self._answer.cached_tokens = directive.args[0]

    async def _empty_choices(self, _: Directive) -> None:
        self._answer.has_choices = False

    async def _null_content(self, _: Directive) -> None:
        self._answer.say(None)

    async def _nul_char(self, _: Directive) -> None:
        self._answer.say("before\0after")

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
    "failed": Performance._failed,
    "garbage-frame": Performance._garbage_frame,
    "no-finish": Performance._no_finish,
    "garbage": Performance._garbage,
    "json": Performance._json,
    "tokens": Performance._tokens,
    "huge": Performance._huge,
    "headers": Performance._show_headers,
    "text": Performance._text,
    "reasoning": Performance._reasoning,
    "raw-reasoning": Performance._raw_reasoning,
    "refusal": Performance._refusal,
    "web-search": Performance._web_search,
    "finish": Performance._finish,
    "tool": Performance._tool,
    "interleaved": Performance._interleaved,
    "cached": Performance._cached,
    "empty-choices": Performance._empty_choices,
    "null-content": Performance._null_content,
    "nul-char": Performance._nul_char,
    "no-usage": Performance._no_usage,
}
