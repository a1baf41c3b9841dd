"""Random faults under steady load, and what became of every job: `python -m tests.faults.soak --help`."""

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.checker import Violation, check
from tests.faults.deployment import Deployment
from tests.faults.errands import canaries_in
from tests.faults.faults import FAULTS, RESTART_AN_API
from tests.faults.history import Call, Fault, History, Sighting
from tests.faults.load import DEADLINE, Load, Target
from tests.faults.report import render
from tests.faults.scene import Scene

COMMAND_SECONDS = 300.0
"""How long a command given with `--fault` may take."""
LONGEST_LIMIT = 10
"""Seconds after which a job of the soak is ended by its hard limit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """For how long, how fast, and how often something breaks; times in seconds."""

    duration: float
    rate: float
    every: float
    hold: float
    """For how long a fault lasts at least."""
    drain: float
    seed: int
    faults: list[str]


def soak_deployment(folder: Path, plan: Plan) -> History:
    """Start a whole Simmer, load it, break it over and over, mend it, and let it finish."""
    settings = {
        "SIMMER_SOFT_TIME_LIMIT": str(LONGEST_LIMIT - 2),
        "SIMMER_TIME_LIMIT": str(LONGEST_LIMIT),
        # The default: when half of the machines are down the other half is overloaded, and says so.
        "SIMMER_MAX_CONCURRENT_REQUESTS": "",
    }
    # Half of the machines speak through proxies: there a link can break, and the others cost nothing more.
    with Deployment(folder, proxied=("api2", "jobs2"), **settings) as deployment:
        with Load(Target(deployment.urls, deployment.secrets), rate=plan.rate, seed=plan.seed) as load:
            load.wait_accepted(1)
            scene = Scene(deployment, load, random.Random(plan.seed))
            names = _names(scene.random, plan.faults)

            def break_something() -> str:
                name = next(names)
                with FAULTS[name](scene):
                    time.sleep(plan.hold)
                return name

            _break_on_schedule(plan, load.history, break_something)
            deployment.heal()
        load.drain(plan.drain)
        collect(deployment, load.history)
    return load.history


def soak_target(target: Target, plan: Plan, command: str | None) -> History:
    """Load a Simmer that runs already; `command` breaks something in it, and mends it, each time it is run."""
    with Load(target, rate=plan.rate, seed=plan.seed) as load:

        def break_something() -> str:
            if command:
                subprocess.run(shlex.split(command), check=True, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL)
            return command or "nothing"

        _break_on_schedule(plan, load.history, break_something)
    load.drain(plan.drain)
    return load.history


def collect(deployment: Deployment, history: History) -> None:
    """Add what the upstream saw, and every canary or secret that stands in a log."""
    for call in deployment.upstream.calls():
        for canary in canaries_in(call.prompt):
            history.append(Call(canary, call.attempt, call.started_at, call.ended_at, call.ended, call.status))
    for log in sorted(deployment.folder.glob("*.log")):
        text = log.read_text(errors="replace")
        for canary in canaries_in(text):
            history.append(Sighting(canary, f"logs: {log.name}"))
        for key, secret in deployment.secrets.items():
            if secret in text:
                history.append(Sighting(f"secret of {key}", f"logs: {log.name}"))


def _names(chosen: random.Random, names: list[str]) -> Iterator[str]:
    """Every fault once, in random order, before any comes again."""
    while True:
        yield from chosen.sample(names, len(names))


def _break_on_schedule(plan: Plan, history: History, break_something: Callable[[], str]) -> None:
    ends_at = time.monotonic() + plan.duration
    next_at = time.monotonic() + plan.every
    while next_at < ends_at:
        time.sleep(max(0.0, next_at - time.monotonic()))
        started_at = time.time()
        name = break_something()
        excuses = frozenset({"I9"}) if name in RESTART_AN_API else frozenset()
        history.append(Fault(name, started_at, time.time(), excuses))
        print(f"{time.strftime('%H:%M:%S')} {name}, {time.time() - started_at:.1f} s", flush=True)
        next_at = max(next_at + plan.every, time.monotonic())
    time.sleep(max(0.0, ends_at - time.monotonic()))


def verdict(history: History) -> list[Violation]:
    """All violations in the history of a soak."""
    return check(history, deadline=DEADLINE, retention=None, purge_grace=0)


def main() -> None:
    """Soak, print the report, and exit with 1 if an invariant was violated."""
    options = _options().parse_args()
    # Whoever stops it means all that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}: give it again with SEED={seed} (or --seed {seed})", flush=True)
    plan = Plan(
        duration=options.minutes * 60,
        rate=options.rate,
        every=options.every,
        hold=options.hold,
        drain=options.drain,
        seed=seed,
        faults=options.only or list(FAULTS),
    )
    with tempfile.TemporaryDirectory(prefix="simmer-soak-") as folder:
        if options.url:
            target = Target(options.url, _keys(options.key), options.model, scripted=False)
            history = soak_target(target, plan, options.fault)
        else:
            history = soak_deployment(Path(folder), plan)
    if options.history:
        history.save(options.history)
    violations = verdict(history)
    print(render(history, violations))
    sys.exit(1 if violations else 0)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.soak",
        description="Load a Simmer, break it over and over, and check that nothing was lost. Without --url it starts "
        "one of its own, on a mock model server; with it, it loads the one that is there, and --fault breaks that.",
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--rate", type=float, default=50, help="jobs a second (50)")
    parser.add_argument("--every", type=float, default=10, help="seconds between the starts of two faults (10)")
    parser.add_argument("--hold", type=float, default=2, help="seconds that a fault lasts at least (2)")
    parser.add_argument("--drain", type=float, default=120, help="seconds that jobs get to end after the load (120)")
    parser.add_argument("--only", action="append", choices=list(FAULTS), metavar="FAULT", help="no faults but these")
    parser.add_argument("--seed", type=int, help="repeats the plan of an earlier run")
    parser.add_argument("--history", type=Path, help="keep what was seen in this JSON-lines file")
    parser.add_argument("--url", action="append", default=[], help="an API of your own; give it for each of them")
    parser.add_argument(
        "--key", action="append", default=[], metavar="VARIABLE", help="environment variable that holds an API key"
    )
    parser.add_argument("--model", default="gpt-4.1", help="the model to ask for, with --url (gpt-4.1)")
    parser.add_argument("--fault", help="a command that breaks and mends something, with --url")
    return parser


def _keys(variables: list[str]) -> dict[str, str]:
    missing = [name for name in variables if not os.environ.get(name)]
    if missing or not variables:
        raise SystemExit(f"Set {' and '.join(missing) or 'an API key'} in the environment, and name it with --key.")
    return {f"key{number}": os.environ[name] for number, name in enumerate(variables)}


if __name__ == "__main__":
    main()
