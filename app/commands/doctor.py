"""`simmer doctor`: look at everything the service depends on, and say how to mend what is wrong."""

import sys
from collections.abc import Callable, Iterable, Iterator

import click

from app.commands.access import as_json, site_settings
from app.commands.checks.broker import check_broker, check_clocks, check_disk, check_eviction
from app.commands.checks.configuration import check_intervals, check_settings, unreadable
from app.commands.checks.database import check_connections, check_database, check_encryption, check_migrations
from app.commands.checks.site import Finding, Level, Site
from app.commands.checks.upstreams import check_limits, check_models, check_upstreams
from app.commands.checks.workers import check_beat, check_workers
from app.commands.terminal import show, show_json, visible
from app.domain.errors import ConfigurationError, UnavailableError

CHECKS: tuple[Callable[[Site], Iterator[Finding]], ...] = (
    check_settings,
    check_intervals,
    check_database,
    check_migrations,
    check_connections,
    check_encryption,
    check_broker,
    check_eviction,
    check_clocks,
    check_models,
    check_limits,
    check_upstreams,
    check_workers,
    check_beat,
    check_disk,
)
_MARKS = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warning", "bold yellow"),
    Level.BROKEN: ("BROKEN", "bold red"),
    Level.SKIPPED: ("-", "dim"),
}


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Check everything that could be wrong; change nothing.

    That is settings, database, broker, clocks, limits, models, upstreams, workers and beat.

    Each finding comes with its mend. Exit code 1 if something is broken, 0 if there are at most warnings.
    """
    found: list[Finding] = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            _print(finding)
    levels = [finding.level for finding in found]
    broken = Level.BROKEN in levels
    if as_json:
        show_json({"ok": not broken, "findings": found})
    else:
        click.echo("\n" + _verdict(levels))
    if broken:
        sys.exit(1)


def examine() -> Iterator[Finding]:
    """The findings of all checks, as they come."""
    try:
        site = Site(site_settings())
    except ConfigurationError as error:
        yield unreadable(error)
        return
    for check in CHECKS:
        yield from _examined(site, check)


def _examined(site: Site, check: Callable[[Site], Iterator[Finding]]) -> Iterable[Finding]:
    try:
        return list(check(site))
    except UnavailableError as error:
        # What it asked has gone down since the look at it.
        return [
            Finding(check.__name__.removeprefix("check_"), Level.BROKEN, error.message, "Run `simmer doctor` again.")
        ]


def _print(finding: Finding) -> None:
    from rich.table import Table  # noqa: PLC0415 - loaded where something is printed
    from rich.text import Text  # noqa: PLC0415

    mark, style = _MARKS[finding.level]
    grid = Table.grid()
    grid.add_column(width=9)
    grid.add_column(width=13)
    grid.add_column()
    message = Text(visible(finding.message), style="dim" if finding.level is Level.SKIPPED else "")
    grid.add_row(Text(mark, style=style), Text(finding.check, style="bold"), message)
    if finding.mend:
        grid.add_row("", "", Text.assemble(("-> ", "bold cyan"), visible(finding.mend)))
    show(grid)


def _verdict(levels: list[Level]) -> str:
    broken, warnings = levels.count(Level.BROKEN), levels.count(Level.WARNING)
    if not broken and not warnings:
        return "All is well."
    return f"{broken} broken, {warnings} {'warning' if warnings == 1 else 'warnings'}."
