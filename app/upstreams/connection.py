"""The HTTP side of a model server, the same for both protocols: a question in JSON, an answer in JSON or a stream."""

from collections.abc import Generator
from contextlib import closing
from typing import cast
from uuid import UUID

import httpx2
from openai import DefaultHttpxClient, OpenAI, OpenAIError

from app.domain.ids import public_id
from app.domain.requests import JSON
from app.domain.tracing import outgoing
from app.upstreams import reading
from app.upstreams.failures import broken_stream, invalid_answer, upstream_error
from app.upstreams.sse import event_data

_END = b"[DONE]"
# ValueError, RecursionError: a body that is no JSON, or nested too deep to be read.
_CALL_ERRORS = (OpenAIError, httpx2.HTTPError, ValueError, RecursionError)


class ModelServer:
    """One model server. One client and one connection pool serve all jobs of the process.

    Requests go through the `openai` SDK's client; answers are read as plain JSON. The SDK's objects would cost
    some 120 µs of CPU for each piece of a stream, against 9: too much for a process that reads a thousand of them. And
    since the SDK does not validate what it builds, they promise nothing that has not to be looked at anyway.
    """

    def __init__(self, base_url: str, api_key: str | None, *, connect_timeout: float) -> None:
        """Connect lazily. A server that wants no key gets a meaningless one: the SDK insists on it."""
        self._connect_timeout = connect_timeout
        # Unlimited: a job that holds a slot of the worker must not wait for a connection besides. Few idle ones: each
        # request asks all of their sockets whether they are still open.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=10)
        self._client = OpenAI(
            base_url=base_url,
            api_key=api_key or "unused",
            # Tries are counted in the database, so that a crash in between loses no count.
            max_retries=0,
            http_client=DefaultHttpxClient(limits=limits),
        )

    def ask(self, path: str, body: JSON, *, job_id: UUID, timeout: float) -> JSON:
        """The answer's JSON object; raise UpstreamError if there is none, or not within `timeout` seconds."""
        try:
            answer = reading.parse(self._post(path, body, job_id, timeout, stream=False).content)
        except _CALL_ERRORS as error:
            raise upstream_error(error) from error
        if not isinstance(answer, dict):
            raise invalid_answer("no JSON object")
        return answer

    def stream(self, path: str, body: JSON, *, job_id: UUID, timeout: float) -> Generator[JSON, None, None]:
        """The events of a streamed answer, until the server says that it is done or closes.

        Closing the iterator closes the connection. Raises UpstreamError, also when no event comes for `timeout`
        seconds.
        """
        seen = False
        try:
            with closing(self._post(path, body, job_id, timeout, stream=True)) as response:
                for data in event_data(response.iter_bytes()):
                    if data.startswith(_END):
                        # The connection is closed rather than kept: a server may hold it open without end.
                        return
                    seen = True
                    yield _event(data)
        except _CALL_ERRORS as error:
            raise upstream_error(error) from error
        if not seen:
            raise invalid_answer("no stream of events")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _post(self, path: str, body: JSON, job_id: UUID, timeout: float, *, stream: bool) -> httpx2.Response:
        answer: object = self._client.post(
            path,
            cast_to=httpx2.Response,
            body=body,
            options={
                "headers": {"X-Client-Request-Id": public_id(job_id), **outgoing()},
                "timeout": httpx2.Timeout(timeout, connect=min(timeout, self._connect_timeout)),
            },
            stream=stream,
        )
        return cast("httpx2.Response", answer)


def _event(data: bytes) -> JSON:
    try:
        event = reading.parse(data)
    except (ValueError, RecursionError) as error:
        raise broken_stream() from error
    if not isinstance(event, dict):
        raise broken_stream()
    return event
