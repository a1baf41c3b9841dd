"""`simmer submit`: send a prompt as any client does, and wait for the answer if that is wanted."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import click

from app.commands.access import BAD_END, NOT_YET, as_json, interruptible
from app.commands.api_client import ApiClient, api_client
from app.commands.terminal import console, note, show_json, span, visible
from app.domain.errors import ConfigurationError, ServiceError
from app.domain.lifecycle import Status
from app.domain.requests import JSON
from app.settings import load_settings

if TYPE_CHECKING:
    from rich.text import Text

PLACE_INTERVAL = 2.0
"""Seconds between two looks at the place in the queue: the stream does not tell of it."""
_TEXT = "response.output_text.delta"


def _pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if any(not name or not sign for name, sign, _ in pairs):
        raise click.BadParameter("It must be NAME=VALUE.")
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("prompt")
@click.option("--model", help="Which model; the first that the API lists if left out.")
@click.option("--instructions", help="What the model is told before the prompt.")
@click.option("--max-output-tokens", type=click.IntRange(min=1), help="Where the answer is cut off at the latest.")
@click.option("--tier", type=click.Choice(["priority", "default", "flex"]), help="How urgent it is.")
@click.option("--metadata", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Once for each pair.")
@click.option("--idempotency-key", help="Sent twice with the same key, it is one response.")
@click.option("--wait", is_flag=True, help="Wait for the answer, and print it as it comes.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait at most.")
@as_json
def submit(prompt: str, wait: bool, timeout: float | None, as_json: bool, **given: Any) -> None:
    """Submit PROMPT; with --wait, print the answer as it comes.

    It goes to SIMMER_API_URL with SIMMER_API_KEY, or to the running `simmer up`; `-` reads it from stdin.

    Prints the id; with --wait the answer, and on stderr how it goes. Exit code 3 if the response failed or was
    cancelled, 4 if it was not there after --timeout: it goes on.
    """
    client = api_client(load_settings())
    key = given.pop("idempotency_key") or uuid4().hex
    body = _body(client, sys.stdin.read() if prompt == "-" else prompt, **given)
    if wait:
        _wait(client, body, key, timeout, as_json)
        return
    created = client.create(body, key)
    if as_json:
        show_json(created)
    else:
        click.echo(created["id"])


def _body(client: ApiClient, prompt: str, *, model: str | None, tier: str | None, **given: Any) -> JSON:
    if model is None:
        served = client.models()
        if not served:
            raise ConfigurationError("The API lists no model by name. Choose one with --model.")
        model = served[0]
    chosen = {name: value for name, value in {**given, "service_tier": tier}.items() if value}
    return {"model": model, "input": prompt, "background": True, **chosen}


@dataclass(slots=True)
class _Progress:
    """What the progress line says; it is asked several times a second."""

    status: str = "submitting"
    place: int | None = None
    """In the queue, while it is queued."""
    response_id: str = ""
    begun_at: float = field(default_factory=time.monotonic)

    def __rich__(self) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - loaded where something is printed

        place = f", place {self.place}" if self.queued and self.place else ""
        words = f"{visible(self.status)}{place}  {span(time.monotonic() - self.begun_at)}  {self.response_id}"
        return Text(words, no_wrap=True, overflow="ellipsis")

    @property
    def queued(self) -> bool:
        """Whether it waits for a worker, by the last event."""
        return self.status == Status.QUEUED

    def see(self, response: JSON) -> None:
        self.response_id = str(response.get("id", ""))
        self.status = str(response.get("status", "")).replace("_", " ")

    def ask(self, client: ApiClient) -> None:
        """Ask for the place. What else the answer says may be older than the last event."""
        if self.queued:
            with suppress(ServiceError, ValueError):
                self.place = client.get(self.response_id).get("queue_position")


class _TimeIsUpError(Exception):
    """The timeout of the command has passed."""


def _wait(client: ApiClient, body: JSON, key: str, timeout: float | None, as_json: bool) -> None:
    progress = _Progress()
    events = client.follow({**body, "stream": True}, key)
    with interruptible(lambda: _goes_on(progress)):
        try:
            with _at_most(timeout), _line(progress, client) as stop:
                response = _read(events, progress, stop, quiet=as_json)
        except _TimeIsUpError:
            note(f"Not finished after {span(timeout)}. {_goes_on(progress)}")
            sys.exit(NOT_YET)
    if as_json:
        show_json(response)
    else:
        note(_summary(response, time.monotonic() - progress.begun_at))
    if response["status"] not in {"completed", "incomplete"}:
        sys.exit(BAD_END)


def _read(events: Iterator[JSON], progress: _Progress, stop: Callable[[], None], *, quiet: bool) -> JSON:
    """Print the text as it comes; return the response as it ended. `stop` takes the progress line away."""
    line_open = False
    for event in events:
        if response := event.get("response"):
            progress.see(response)
        if event["type"] == _TEXT and not quiet:
            stop()
            text = visible(str(event["delta"]), lines=True)
            click.echo(text, nl=False)
            line_open = not text.endswith("\n")
    if line_open:
        click.echo()
    # The last event is one of an end, and holds the whole response.
    ended: JSON = event["response"]
    return ended


@contextmanager
def _line(progress: _Progress, client: ApiClient) -> Iterator[Callable[[], None]]:
    """The progress line for the block, on a stderr that is a terminal, until the function it gives is called."""
    screen = console(err=True)
    if not screen.is_terminal:
        yield lambda: None
        return
    from rich.live import Live  # noqa: PLC0415 - loaded where something is printed

    over = threading.Event()

    def ask() -> None:
        while not over.wait(PLACE_INTERVAL):
            progress.ask(client)

    # A daemon: nobody waits at the end for an answer that is still on its way.
    threading.Thread(target=ask, name="place", daemon=True).start()
    with Live(progress, console=screen, transient=True, redirect_stdout=False, redirect_stderr=False) as live:
        try:
            yield live.stop
        finally:
            over.set()


@contextmanager
def _at_most(seconds: float | None) -> Iterator[None]:
    """Raise _TimeIsUpError in the block after so many seconds, whatever it waits for."""

    def ring(*_: object) -> NoReturn:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _goes_on(progress: _Progress) -> str:
    if not progress.response_id:
        return "It may have been accepted: see `simmer jobs list`."
    return f"It goes on: `simmer jobs tail {progress.response_id}`, or `simmer jobs cancel {progress.response_id}`."


def _summary(response: JSON, seconds: float) -> str:
    words = f"{response['id']} {response['status']} after {span(seconds)}"
    if error := response.get("error"):
        return f"{words}: {error.get('code')}. {error.get('message')}"
    if reason := (response.get("incomplete_details") or {}).get("reason"):
        words += f", cut off by {reason}"
    tokens = (response.get("usage") or {}).get("total_tokens")
    return words + (f", {tokens} tokens" if tokens is not None else "")
