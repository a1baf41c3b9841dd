"""Dockerfile and .dockerignore against Simmer's rules, each shown to catch a planted violation."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch

import pytest

from tests.compose import ROOT, load_compose

Instruction = tuple[str, str]
Rule = Callable[[list[Instruction]], Iterator[str]]

BASE = "python:3.13-slim"


def instructions(text: str) -> list[Instruction]:
    """Each instruction of a Dockerfile with its arguments; comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage(dockerfile: list[Instruction]) -> list[Instruction]:
    start = max(place for place, (name, _) in enumerate(dockerfile) if name == "FROM")
    return dockerfile[start:]


def builds_in_stages(dockerfile: list[Instruction]) -> Iterator[str]:
    bases = [rest.split()[0] for name, rest in dockerfile if name == "FROM"]
    if bases != [BASE, BASE]:
        yield f"FROM: {bases} instead of a build stage and a final one on {BASE}"
    for name, rest in last_stage(dockerfile):
        if name == "RUN" or (name == "COPY" and not rest.startswith("--from=build ")):
            yield f"{name}: the final stage takes only what the build stage made"


def installs_what_is_locked(dockerfile: list[Instruction]) -> Iterator[str]:
    steps = [shlex.split(step) for name, rest in dockerfile if name == "RUN" for step in rest.split("&&")]
    for step in steps:
        if step[0] == "pip" and "--no-deps" not in step:
            yield f"{step}: resolves dependencies"
        if step[0] == "pip" and not {"--require-hashes", "--no-index"} & set(step):
            yield f"{step}: installs what no lock names"
    locks = {word for step in steps for word in step if word.endswith((".lock", ".txt"))}
    if locks != {"requirements.lock", "deploy/build.lock"}:
        yield f"installs from {locks}"


def runs_as_nobody(dockerfile: list[Instruction]) -> Iterator[str]:
    users = [rest for name, rest in last_stage(dockerfile) if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield f"USER: {users} is not a numeric user without privileges"


def holds_no_secret(dockerfile: list[Instruction]) -> Iterator[str]:
    for name, rest in dockerfile:
        if name == "ARG" or (name == "ENV" and re.search(r"PASSWORD|SECRET|TOKEN|KEY|AUTH|://", rest)):
            yield f"{name} {rest}: stays in the image's history"
        if name == "ADD" or (name == "COPY" and re.search(r"(^|\s)\.(/|env|\s)", rest.rpartition(" ")[0] + " ")):
            yield f"{name} {rest}: copies more than the source"


def receives_signals(dockerfile: list[Instruction]) -> Iterator[str]:
    commands = {name: rest for name, rest in last_stage(dockerfile) if name in {"CMD", "ENTRYPOINT", "STOPSIGNAL"}}
    if commands.keys() != {"CMD"} or not commands["CMD"].startswith("["):
        yield f"{commands}: only a CMD in exec form lets SIGTERM reach the process"
    elif json.loads(commands["CMD"]) != load_compose()["services"]["api"]["command"]:
        yield f"{commands['CMD']}: is not the api's command of compose.yaml"


def behaves_in_a_container(dockerfile: list[Instruction]) -> Iterator[str]:
    environment = " ".join(rest for name, rest in last_stage(dockerfile) if name == "ENV")
    for wanted in ("HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"):
        if wanted not in environment.split():
            yield f"ENV: lacks {wanted}"
    if ("HEALTHCHECK", "NONE") not in dockerfile:
        yield "HEALTHCHECK: must be NONE, compose.yaml has one for each process"


# Each rule with its violations: a piece of the Dockerfile and what is planted in its place.
VIOLATIONS: list[tuple[Rule, str, str]] = [
    (builds_in_stages, "FROM python:3.13-slim AS", "FROM python:latest AS"),
    (builds_in_stages, "FROM python:3.13-slim\n", ""),
    (builds_in_stages, "WORKDIR /srv", "RUN pip install x"),
    (builds_in_stages, "COPY --from=build /opt/simmer /opt/simmer", "COPY app /opt/simmer"),
    (installs_what_is_locked, "--no-deps --require-hashes --only-binary :all: -r requirements.lock", "."),
    (installs_what_is_locked, "--require-hashes --only-binary :all: -r requirements.lock", "-r requirements.lock"),
    (installs_what_is_locked, "-r requirements.lock", "-r requirements-dev.lock"),
    (installs_what_is_locked, "-r deploy/build.lock", "hatchling"),
    (installs_what_is_locked, "--no-index --no-build-isolation", "--no-build-isolation"),
    (installs_what_is_locked, "/dist/*.whl", "/dist/*.whl && pip install .[dev]"),
    (runs_as_nobody, "USER 10001:10001\n", ""),
    (runs_as_nobody, "USER 10001:10001", "USER simmer"),
    (runs_as_nobody, "USER 10001:10001", "USER 0:0"),
    (runs_as_nobody, "EXPOSE 8000", "USER root"),
    (holds_no_secret, "WORKDIR /srv", "ARG API"),
    (holds_no_secret, "WORKDIR /srv", "ENV OPENAI_API_KEY=x"),
    (holds_no_secret, "WORKDIR /srv", "ENV SIMMER_BROKER_URL=redis://:x@valkey"),
    (holds_no_secret, "COPY app app", "COPY . ."),
    (holds_no_secret, "COPY app app", "COPY app .env ./"),
    (holds_no_secret, "COPY app app", "ADD app app"),
    (receives_signals, 'CMD ["gunicorn"', 'CMD exec gunicorn ["'),
    (receives_signals, "WORKDIR /srv", 'ENTRYPOINT ["sh", "-c"]'),
    (receives_signals, "0.0.0.0:8000", "0.0.0.0:80"),
    (behaves_in_a_container, "PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED="),
    (behaves_in_a_container, "HOME=/tmp", "HOME=/"),
    (behaves_in_a_container, "PYTHONDONTWRITEBYTECODE=1", "X=1"),
    (behaves_in_a_container, "HEALTHCHECK NONE", "HEALTHCHECK CMD true"),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in VIOLATIONS))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_dockerfile_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(instructions((ROOT / "Dockerfile").read_text()))) == []


@pytest.mark.parametrize(("rule", "piece", "planted"), VIOLATIONS, ids=lambda part: getattr(part, "__name__", None))
def test_rule_complains_of_a_planted_violation(rule: Rule, piece: str, planted: str) -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count(piece) == 1, f"{piece!r} must stand in the Dockerfile once"
    assert list(rule(instructions(text.replace(piece, planted))))


def allowed(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore lets `path`, or a folder above it, into the build. As in Docker, the last match decides."""
    verdict = True
    for pattern in patterns:
        if any(fnmatch(part, pattern.removeprefix("!")) for part in (path, *_parents(path))):
            verdict = pattern.startswith("!")
    return verdict


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def test_build_context_is_what_the_dockerfile_copies_and_no_more() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    dockerfile = instructions((ROOT / "Dockerfile").read_text())
    copies = [rest.split()[:-1] for name, rest in dockerfile if name == "COPY" and "--from" not in rest]
    sources = {source for copy in copies for source in copy}
    assert [path for path in sources if not allowed(path, patterns)] == []
    assert {pattern[1:] for pattern in patterns if pattern[0] == "!"} == sources
    for path in (".env", "upstreams.env", "models.toml", ".git/config", ".simmer/run.json", "tests/compose.py"):
        assert not allowed(path, patterns)


def locked(path: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of a lock with its version and hashes."""
    text = (ROOT / path).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    found = {block: re.match(r"([\w.-]+)==([\w.+!]+)", block) for block in blocks}
    return {
        match[1]: (match[2], frozenset(re.findall(r"--hash=(\S+)", block))) for block, match in found.items() if match
    }


def test_build_lock_agrees_with_the_development_lock() -> None:
    build, development = locked("deploy/build.lock"), locked("requirements-dev.lock")
    assert "hatchling" in build
    assert build == {name: development[name] for name in build}, "run `make lock`"
    assert all(hashes for _, hashes in build.values())


def test_production_lock_holds_no_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {re.split(r"[\[>=<~ ]", line)[0] for extra in project["optional-dependencies"].values() for line in extra}
    assert extras
    # The traces' exporter brings requests, which the tests name for themselves.
    assert extras & locked("requirements.lock").keys() == {"requests"}


# Imports what the processes import, where no package exists but those whose names are given: as in the image.
IMPORT_ALL = """
import importlib, importlib.abc, importlib.metadata, re, sys

class OnlyLocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        owners = {re.sub("[-_.]+", "-", owner).lower() for owner in OWNERS.get(name.partition(".")[0], [])}
        if owners and owners.isdisjoint(sys.argv[1:]):
            raise ModuleNotFoundError(f"No module named {name!r} in the lock", name=name)

OWNERS = importlib.metadata.packages_distributions()
sys.meta_path.insert(0, OnlyLocked())
for module in "gunicorn.app.wsgiapp", "gunicorn.workers.ggevent", "app.gunicorn", "app.factory", "app.cli":
    importlib.import_module(module)
for module in "celery.bin.celery", "celery.concurrency.gevent", "kombu.transport.redis", "flower.command":
    importlib.import_module(module)
for module in "workers.celery_app", "workers.jobs", "workers.maintenance", "workers.webhooks":
    importlib.import_module(module)
"""


def imported_with(packages: set[str]) -> str:
    """Import every process's modules with `packages` alone; the last line of the error, empty if there is none."""
    environment = {**os.environ, "SIMMER_DATABASE_URL": "postgresql://nowhere", "SIMMER_BROKER_URL": "redis://nowhere"}
    command = [sys.executable, "-c", IMPORT_ALL, "simmer", *packages]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return (done.stderr.strip().splitlines() or ["no message"])[-1] if done.returncode else ""


def test_production_lock_holds_every_package_the_processes_import() -> None:
    packages = set(locked("requirements.lock"))
    assert imported_with(packages) == ""
    assert "'flower'" in imported_with(packages - {"flower"})
