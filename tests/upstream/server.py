"""The mock model server: `python -m tests.upstream.server --port N [--record FILE]`."""

import argparse
import asyncio
import resource
import signal
from dataclasses import asdict
from pathlib import Path

from tests.upstream import answers
from tests.upstream.controls import Controls
from tests.upstream.directives import DirectiveError, parse
from tests.upstream.journal import Ended, Journal
from tests.upstream.performance import Performance
from tests.upstream.questions import Dialect, Question
from tests.upstream.wire import Reply, Request, RequestError, read_request

HOST = "127.0.0.1"
# A request that has begun must be complete within this many seconds; idle connections may stay.
_READ_SECONDS = 30.0


class MockServer:
    def __init__(self, journal: Journal, max_body: int) -> None:
        self._journal = journal
        self._max_body = max_body
        self._controls = Controls()
        self._connections = 0

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        # Reading on while a call is answered is what notices the client's close; a byte that does come
        # is the next request's first.
        upcoming = asyncio.create_task(_next_byte(reader))
        try:
            while first := await upcoming:
                async with asyncio.timeout(_READ_SECONDS):
                    request = await self._read(reader, writer, first)
                if request is None:
                    break
                upcoming = asyncio.create_task(_next_byte(reader))
                reply = Reply(writer, keep_alive=request.keep_alive)
                await self._answer_while_connected(request, reply, upcoming)
                if not reply.keep_alive:
                    break
        except (ConnectionError, EOFError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # The mock stops. Python 3.11 would log a connection's cancelled task as an error.
            pass
        finally:
            self._connections -= 1
            upcoming.cancel()
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> Request | None:
        try:
            return await read_request(reader, writer, first, self._max_body)
        except RequestError as error:
            await _refuse(Reply(writer, keep_alive=False), error)
            return None

    async def _answer_while_connected(self, request: Request, reply: Reply, upcoming: "asyncio.Task[bytes]") -> None:
        answering = asyncio.create_task(self._answer(request, reply))
        await asyncio.wait({answering, upcoming}, return_when=asyncio.FIRST_COMPLETED)
        if upcoming.done() and not upcoming.result() and not answering.done():
            reply.client_gone = True
            reply.keep_alive = False
            answering.cancel()
        await asyncio.wait({answering})
        if not answering.cancelled():
            answering.result()

    async def _answer(self, request: Request, reply: Reply) -> None:
        try:
            await self._route(request, reply)
        except RequestError as error:
            await _refuse(reply, error)
        except DirectiveError as error:
            await reply.send_json(400, answers.error(400, "bad_directive", str(error)))

    async def _route(self, request: Request, reply: Reply) -> None:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["v1", "chat", "completions"]:
                await self._perform("chat", request, reply)
            case "POST", ["v1", "responses"]:
                await self._perform("responses", request, reply)
            case "GET", ["v1", "models"]:
                await reply.send_json(200, answers.models())
            case _:
                await self._route_control(request, reply)

    async def _route_control(self, request: Request, reply: Reply) -> None:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["_calls"]:
                await reply.send_json(200, self._calls(request.query))
            case "GET", ["_bodies"]:
                bodies = self._journal.bodies(request.query.get("contains", ""))
                await reply.send(200, b"[%b]" % b",".join(bodies))
            case "GET", ["_in_flight"]:
                await reply.send_json(200, {"in_flight": self._journal.running(request.query.get("contains", ""))})
            case "GET", ["_stats"]:
                await reply.send_json(200, self._stats())
            case "PUT", ["_mode"]:
                self._controls.set_mode(request.json_object())
                await reply.send_json(200, {})
            case "DELETE", ["_gates"]:
                self._controls.close_gates()
                await reply.send_json(200, {})
            case "POST", ["_gate", name]:
                self._controls.gate(name).set()
                await reply.send_json(200, {})
            case _:
                raise RequestError(404, f"the mock has no {request.method} {request.path}")

    async def _perform(self, dialect: Dialect, request: Request, reply: Reply) -> None:
        question = Question.read(dialect, request)
        call = self._journal.begin(
            question.prompt, question.model, stream=question.stream, headers=request.headers, body=request.body
        )
        ended: Ended = "failed"
        try:
            directives = [*self._controls.mode_directives(), *parse(question.prompt)]
            performance = Performance(question, call, reply, self._controls, request.headers)
            ended = await performance.play(directives)
        except asyncio.CancelledError:
            ended = "client_closed" if reply.client_gone else "stopped"
            raise
        except ConnectionError:
            ended = "client_closed"
            raise
        finally:
            self._journal.end(call, ended, reply.status)

    def _calls(self, query: dict[str, str]) -> dict[str, object]:
        found = self._journal.find(query.get("contains", ""), int(query.get("since", 0)))
        return {"calls": [asdict(call) for call in found]}

    def _stats(self) -> dict[str, int]:
        journal = self._journal
        return {
            "in_flight": journal.in_flight,
            "total": journal.total,
            "max_in_flight": journal.max_in_flight,
            "connections": self._connections,
        }


async def _next_byte(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1)
    except ConnectionError:
        return b""


async def _refuse(reply: Reply, error: RequestError) -> None:
    await reply.send_json(error.status, answers.error(error.status, "bad_request", str(error)))


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT; prints the address once it listens."""
    mock = MockServer(Journal(options.keep, options.record), options.max_body)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(mock.serve_connection, HOST, options.port, backlog=4096)
    print(f"listening on http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--record", type=Path, help="append every call to this JSON lines file, and read it at start")
    parser.add_argument("--keep", type=int, default=200_000, help="how many calls are kept in memory")
    parser.add_argument("--max-body", type=int, default=16 * 2**20, help="largest request body in bytes")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
