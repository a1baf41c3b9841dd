"""The whole stack put together: what is embedded, what the caller brought, and in which order it starts."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from app.stack.console import Console
from app.stack.errors import StackError
from app.stack.folders import home_lock, make_folder, make_home
from app.stack.keys import local_key
from app.stack.model import MODEL_NAME, EmbeddedModel
from app.stack.ports import Ports
from app.stack.postgres import EmbeddedPostgres
from app.stack.private import new_password, read_or_create, write_private
from app.stack.process import ProcessSpec
from app.stack.runfile import Addresses, RunFile
from app.stack.services import STEP_TIMEOUT, FlowerLogin, Services
from app.stack.supervisor import Supervisor
from app.stack.valkey import EmbeddedValkey

FLOWER_USER = "admin"
FLOWER_FILE = "flower.json"
MODELS_FILE = "models.toml"
# Ctrl-C at a terminal should not take half a minute; unfinished jobs are handed back and run again
DRAIN_TIMEOUT = 5.0
MODELS = """\
# Written by `simmer up` at each start: every model name is served by the embedded model.
[upstreams.local]
protocol = "chat"
base_url = "{url}"

[models."*"]
upstream = "local"
model = "{model}"
"""


LOOPBACK = "127.0.0.0/8,::1/128"


@dataclass(frozen=True)
class Options:
    """What the command line of `simmer up` chooses; port 0 means any free one."""

    port: int = 8000
    flower_port: int = 5555
    model: bool = True
    models: Path | None = None
    worker_concurrency: int = 1000


@dataclass(frozen=True)
class RunningStack:
    """A stack of which everything is ready."""

    supervisor: Supervisor
    addresses: Addresses
    runfile: RunFile

    def write_runfile(self) -> None:
        self.runfile.write(self.addresses, self.supervisor.pids)


@dataclass(frozen=True)
class Backends:
    """The database, the broker and the models: started here, or the caller's."""

    database_url: str
    broker_url: str
    models: Path
    model_url: str | None
    processes: tuple[ProcessSpec, ...]


@contextmanager
def running_stack(settings: Settings, options: Options, console: Console) -> Iterator[RunningStack]:
    """Start everything in `settings.home`, and stop it in the end. Raises StackError."""
    home = settings.home.absolute()
    make_home(home)
    with home_lock(home) as lock, Supervisor(console, inherit=[lock]) as supervisor:
        runfile = RunFile(home)
        # a killed predecessor could not
        runfile.remove()
        try:
            stack = RunningStack(supervisor, _start(settings, options, home, supervisor, console), runfile)
            stack.write_runfile()
            yield stack
        finally:
            runfile.remove()


def _start(settings: Settings, options: Options, home: Path, supervisor: Supervisor, console: Console) -> Addresses:
    ports = Ports(home)
    api_port = ports.choose("api", options.port, "--port")
    flower_port = ports.choose("flower", options.flower_port, "--flower-port")
    backends = _backends(settings, options, home, ports)
    if backends.processes:
        console.say(f"starting {', '.join(spec.name for spec in backends.processes)}")
        supervisor.start(*backends.processes)
    drain = settings.drain_timeout if "drain_timeout" in settings.model_fields_set else DRAIN_TIMEOUT
    services = Services(home, environment(home, backends, drain), drain)
    supervisor.run_once(services.migrate(), STEP_TIMEOUT)
    console.say("starting api, jobs, sync, system, webhooks, beat, flower")
    login = flower_login(home)
    make_folder(home / "beat", 0o700)
    supervisor.start(
        services.api(api_port),
        services.job_worker(options.worker_concurrency),
        services.sync_worker(),
        services.system_worker(),
        services.webhook_worker(),
        services.beat(),
        services.flower(flower_port, login),
    )
    api_url = f"http://127.0.0.1:{api_port}"
    return Addresses(
        api_url=api_url,
        api_key=local_key(home, api_url, lambda: supervisor.run_once(services.create_key(), STEP_TIMEOUT)),
        flower_url=f"http://127.0.0.1:{flower_port}",
        flower_user=login.user,
        flower_password=login.password,
        database_url=backends.database_url,
        broker_url=backends.broker_url,
        models=str(backends.models),
        model_url=backends.model_url,
    )


def _backends(settings: Settings, options: Options, home: Path, ports: Ports) -> Backends:
    models = own_models(settings, options)
    processes: list[ProcessSpec] = []
    database_url, broker_url, model_url = settings.database_url, settings.broker_url, None
    if not database_url:
        postgres = EmbeddedPostgres(home, ports.choose("postgres"))
        postgres.prepare()
        processes.append(postgres.process())
        database_url = postgres.url
    if not broker_url:
        valkey = EmbeddedValkey(home, ports.choose("valkey"))
        valkey.prepare()
        processes.append(valkey.process())
        broker_url = valkey.url
    if models is None:
        model = EmbeddedModel(ports.choose("model"))
        models, model_url = home / MODELS_FILE, model.url
        write_private(models, MODELS.format(url=model.url, model=MODEL_NAME))
        processes.append(model.process())
    return Backends(database_url, broker_url, models, model_url, tuple(processes))


def own_models(settings: Settings, options: Options) -> Path | None:
    """The caller's models file; None means the embedded model. Raises StackError if there is neither."""
    chosen = options.models or settings.models
    if chosen is not None:
        if not chosen.is_file():
            raise StackError(f"there is no models file {chosen}: check --models or SIMMER_MODELS")
        return chosen.absolute()
    if not options.model:
        raise StackError(
            "--no-model leaves nothing to run jobs on: name your model servers with --models FILE or SIMMER_MODELS"
        )
    return None


def environment(home: Path, backends: Backends, drain: float) -> dict[str, str]:
    """What all processes share, besides what this one was given."""
    return {
        # All is on one machine, and so is whoever tries webhooks out.
        "SIMMER_WEBHOOK_ALLOWED_NETWORKS": LOOPBACK,
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "SIMMER_HOME": str(home),
        "SIMMER_DATABASE_URL": backends.database_url,
        "SIMMER_BROKER_URL": backends.broker_url,
        "SIMMER_MODELS": str(backends.models),
        "SIMMER_DRAIN_TIMEOUT": f"{drain:g}",
    }


def flower_login(home: Path) -> FlowerLogin:
    def create() -> str:
        return json.dumps({"user": FLOWER_USER, "password": new_password(), "cookie_secret": new_password()})

    return FlowerLogin(**json.loads(read_or_create(home / FLOWER_FILE, create)))
