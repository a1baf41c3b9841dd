"""Each import contract of pyproject.toml is shown to fail on a planted violation, and what holds is shown to hold."""

import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in CONFIG["contracts"]]
DEADLINE = 100

# For each contract a module and an import that breaks it and no other.
PLANTS = {
    "Rooms: every layer imports only from below": ("app/upstreams/catalog.py", "import app.services.leases"),
    "The domain imports no framework": ("app/domain/ids.py", "import click"),
    "Services know neither HTTP nor the broker": ("app/services/keys.py", "import openai"),
    "Workers never load Flask": ("workers/process.py", "import flask"),
    "The app never imports the workers": ("app/gunicorn.py", "import workers.pool"),
    "API code reaches the database through services alone": ("app/api/ops.py", "import app.db.engine"),
}


def broken_contracts(folder: Path, plant: tuple[str, str] | None = None) -> list[str]:
    """What lint-imports calls broken in a copy of the code, with one more import."""
    for name in ("app", "workers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    if plant:
        module = folder / plant[0]
        module.write_text(f"{module.read_text(encoding='utf-8')}\n{plant[1]}\n", encoding="utf-8")
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    lines = run.stdout.splitlines()
    broken = [name for name in CONTRACTS if f"{name} BROKEN" in lines]
    kept = [name for name in CONTRACTS if f"{name} KEPT" in lines]
    assert sorted(kept + broken) == sorted(CONTRACTS), run.stdout + run.stderr
    assert run.returncode == (1 if broken else 0), run.stdout
    return broken


def test_every_contract_has_a_plant() -> None:
    assert list(PLANTS) == CONTRACTS


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, list[str]]:
    """Broken contracts by planted contract; None is the code as it is."""
    plants: dict[str | None, tuple[str, str] | None] = {None: None}
    plants.update(PLANTS)
    folders = [tmp_path_factory.mktemp("copy") for _ in plants]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(broken_contracts, folders, plants.values())
        return dict(zip(plants, found, strict=True))


def test_the_code_keeps_its_contracts(verdicts: dict[str | None, list[str]]) -> None:
    assert verdicts[None] == []


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_import_breaks_its_contract_alone(verdicts: dict[str | None, list[str]], contract: str) -> None:
    assert verdicts[contract] == [contract]


def loaded(modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after importing `modules`."""
    return {module.partition(".")[0] for module in loaded_modules(modules)}


def loaded_modules(modules: str) -> set[str]:
    """All that it has loaded."""
    code = f"import {modules}, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            **os.environ,
            "SIMMER_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
            "SIMMER_BROKER_URL": "redis://127.0.0.1/0",
        },
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return set(run.stdout.split())


def test_workers_do_not_load_flask() -> None:
    found = loaded("workers.celery_app, workers.jobs, workers.maintenance, workers.process, workers.webhooks")
    assert {"celery", "workers", "app"} <= found
    assert not {"flask", "werkzeug", "jinja2"} & found


@pytest.mark.parametrize("modules", ["app.gunicorn, app.factory", "workers.celery_app, workers.process"])
def test_who_serves_does_without_what_others_need(modules: str) -> None:
    """A process has these for good: alembic and what it imports take 8 MB, an SDK 13 MB."""
    found = loaded(modules)
    assert {"app", "sqlalchemy"} <= found
    assert not {"alembic", "mako", "pygments", "openai", "google"} & found


@pytest.mark.parametrize("modules", ["app.gunicorn, app.factory", "workers.celery_app, workers.process"])
def test_who_does_not_trace_does_without_what_makes_and_sends_spans(modules: str) -> None:
    """redis-py loads the SDK's metrics, unasked, wherever it is installed; the rest is up to us."""
    found = loaded_modules(modules)
    assert not {"app.adapters.otel", "opentelemetry.sdk.trace", "opentelemetry.proto", "opentelemetry.exporter"} & found


def test_the_domain_loads_the_standard_library_alone() -> None:
    found = loaded("app.domain.errors, app.domain.ids, app.domain.jobs, app.domain.lifecycle, app.domain.ports")
    before = loaded("sys")
    assert found - before - sys.stdlib_module_names == {"app"}
