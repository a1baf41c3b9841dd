"""All benchmarks, or those that are named: `python -m benchmarks [NAME ...]`, or `make bench`."""

import argparse
import importlib
import json
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.chart import draw
from benchmarks.outcome import Outcome

NAMES = (
    "create",
    "poll",
    "run",
    "pickup",
    "first_token",
    "waiting_jobs",
    "long_polls",
    "streams",
    "full_queue",
    "purge",
    "memory",
    "backpressure",
    "webhooks",
)
"""Modules of this package; each has `run() -> Outcome`."""


def main() -> None:
    """Run, print tables, and write one JSON file for each benchmark and one chart for all that have goals."""
    options = _options().parse_args()
    # Whoever stops it means all that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.out.mkdir(parents=True, exist_ok=True)
    click.echo(f"{platform.platform()}, Python {platform.python_version()}")
    outcomes = [_run(name, options.out) for name in options.names or NAMES]
    draw([outcome for outcome in outcomes if outcome.goals], options.out / "goals.svg")
    missed = [goal.what for outcome in outcomes for goal in outcome.goals if not goal.met]
    click.echo(f"\n{len(missed)} goals missed" + "".join(f"\n  {what}" for what in missed))


def _run(name: str, folder: Path) -> Outcome:
    started_at = time.monotonic()
    module: Any = importlib.import_module(f"benchmarks.{name}")
    outcome: Outcome = module.run()
    click.echo(f"\n{outcome.table()}\n  ({time.monotonic() - started_at:.0f} s)")
    (folder / f"{name}.json").write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
    return outcome


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder for JSON and chart")
    return parser


if __name__ == "__main__":
    main()
