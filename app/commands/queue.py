"""`simmer queue`: a live view of the queues and of who works on them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.adapters.broker_facts import BrokerInspector
from app.adapters.inspection import Node, NodeInspector
from app.adapters.queue import ALL_QUEUES
from app.commands.access import as_json, interruptible, site_settings
from app.commands.terminal import Cell, Column, Grid, console, moment, show, show_json, span
from app.container import Container
from app.db.vitals import QueueFacts
from app.domain.errors import ServiceError

if TYPE_CHECKING:
    from rich.console import Group

BAR = 20
"""Characters of a full bar."""
_QUEUES = (
    Column("QUEUE"),
    Column("QUEUED", right=True),
    Column("OLDEST", right=True),
    Column("RUNNING", right=True),
    Column("MESSAGES", 1, right=True),
    Column("WORKERS", right=True),
)
_WORKERS = (
    Column("WORKER"),
    Column("RUNNING", right=True),
    Column("SLOTS", right=True),
    Column("", 2),
    Column("QUEUES", 1),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one moment; a part that does not answer is empty, and `trouble` says so."""

    at: datetime
    queues: Sequence[QueueFacts]
    running: dict[str, int]
    messages: dict[str, int]
    nodes: Sequence[Node]
    trouble: Sequence[str]

    def takers(self, queue: str) -> int:
        """How many workers take from the queue."""
        return sum(queue in node.queues for node in self.nodes)


class Viewer:
    """Asks the database for jobs, the broker for messages and workers."""

    def __init__(self, parts: Container) -> None:
        self._vitals = parts.vitals
        self._broker = BrokerInspector(parts.settings)
        self._inspector = NodeInspector(parts.settings)

    def look(self) -> Snapshot:
        """One look, which takes a second: so long workers have to answer."""
        trouble: list[str] = []
        load = _asked(self._vitals.load, trouble)
        messages = _asked(lambda: self._broker.backlogs(ALL_QUEUES), trouble)
        nodes = _asked(self._inspector.nodes, trouble) if messages is not None else None
        queues, running = (load.queues, load.running) if load else ([], {})
        return Snapshot(datetime.now(UTC), queues, running, messages or {}, nodes or [], trouble)


@click.command()
@click.option("--once", is_flag=True, help="Print it once; so it is where stdout is no terminal.")
@click.option("--interval", type=click.FloatRange(0.5, 60), default=2, show_default=True, help="Seconds between looks.")
@as_json
def queue(once: bool, interval: float, as_json: bool) -> None:
    """Show what waits, what runs and who works on it, until Ctrl-C.

    RUNNING and QUEUED are counted in the database. MESSAGES wait in the broker: hints, more or fewer.
    """
    viewer = Viewer(Container(site_settings()))
    with interruptible():
        if as_json:
            show_json(_for_programs(viewer.look()))
        elif once or not console().is_terminal:
            show(*_parts(viewer.look()))
        else:
            _live(viewer, interval)


def _live(viewer: Viewer, interval: float) -> None:
    from rich.live import Live  # noqa: PLC0415 - loaded where something is printed

    screen = console()
    with Live(_group(viewer.look()), console=screen, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_group(viewer.look()), refresh=True)
            time.sleep(interval)


def _group(snapshot: Snapshot) -> "Group":
    from rich.console import Group  # noqa: PLC0415

    screen = console()
    return Group(*(part.on(screen) if isinstance(part, Grid) else part for part in _parts(snapshot)))


def _parts(snapshot: Snapshot) -> list[Grid | str]:
    """The view from top to bottom."""
    troubles = [f"! {text}" for text in snapshot.trouble]
    return [
        f"{moment(snapshot.at)}  {_summary(snapshot)}",
        *troubles,
        "",
        Grid(_QUEUES, [_queue_row(snapshot, name) for name in ALL_QUEUES]),
        "",
        Grid(_WORKERS, _worker_rows(snapshot)),
    ]


def _summary(snapshot: Snapshot) -> str:
    queued = sum(facts.queued for facts in snapshot.queues)
    beats = sum(node.is_beat for node in snapshot.nodes)
    return f"{queued} queued, {sum(snapshot.running.values())} running, {'beat answers' if beats else 'no beat'}"


def _queue_row(snapshot: Snapshot, name: str) -> list[Cell]:
    facts = next((facts for facts in snapshot.queues if facts.queue == name), None)
    takers = snapshot.takers(name)
    messages = snapshot.messages.get(name)
    return [
        Cell(name, "bold"),
        Cell(f"{facts.queued:,}" if facts else "-", "cyan" if facts and facts.queued else "dim"),
        Cell(span(facts.oldest_queued) if facts else "-"),
        Cell(f"{facts.running:,}" if facts else "-", "bold blue" if facts and facts.running else "dim"),
        Cell("-" if messages is None else f"{messages:,}"),
        Cell(str(takers), "" if takers else "bold red"),
    ]


def _worker_rows(snapshot: Snapshot) -> list[list[Cell]]:
    nodes = {node.name: node for node in snapshot.nodes if not node.is_beat}
    silent = sorted(set(snapshot.running) - set(nodes))
    rows = [_worker_row(node, snapshot.running.get(node.name, 0)) for node in nodes.values()]
    lost = [
        [
            Cell(name or "?", "red"),
            Cell(f"{snapshot.running[name]:,}"),
            Cell("-"),
            Cell("no answer", "bold red"),
            Cell("-"),
        ]
        for name in silent
    ]
    return rows + lost


def _worker_row(node: Node, running: int) -> list[Cell]:
    slots = node.slots or 0
    full = min(BAR, -(-running * BAR // slots)) if slots else 0
    return [
        Cell(node.name),
        Cell(f"{running:,}"),
        Cell(f"{slots:,}" if slots else "-"),
        Cell("█" * full + "░" * (BAR - full), "red" if full == BAR else "green"),
        Cell(" ".join(node.queues)),
    ]


def _for_programs(snapshot: Snapshot) -> dict[str, Any]:
    rows = {facts.queue: facts for facts in snapshot.queues}
    queues = [
        {
            "queue": name,
            "queued": rows[name].queued if name in rows else None,
            "running": rows[name].running if name in rows else None,
            "oldest_queued_seconds": rows[name].oldest_queued if name in rows else None,
            "messages": snapshot.messages.get(name),
            "workers": snapshot.takers(name),
        }
        for name in ALL_QUEUES
    ]
    answering = [node for node in snapshot.nodes if not node.is_beat]
    workers: list[dict[str, Any]] = [
        {"name": node.name, "answers": True, "running": snapshot.running.get(node.name, 0), "slots": node.slots,
         "queues": node.queues}
        for node in answering
    ]  # fmt: skip
    silent = sorted(set(snapshot.running) - {node.name for node in answering})
    workers += [{"name": name, "answers": False, "running": snapshot.running[name]} for name in silent]
    beats = [node.name for node in snapshot.nodes if node.is_beat]
    return {"at": snapshot.at, "queues": queues, "workers": workers, "beats": beats, "trouble": snapshot.trouble}


def _asked(question: Any, trouble: list[str]) -> Any:
    try:
        return question()
    except ServiceError as error:
        trouble.append(error.message)
        return None
