"""compose.yaml against the official schema and against Simmer's own rules, each shown to catch a planted violation."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from app.adapters.queue import SYSTEM_QUEUE, WEBHOOK_QUEUE
from app.domain.jobs import BACKGROUND_QUEUES, SYNC_QUEUE
from app.settings import Settings
from app.upstreams.catalog import load_catalog
from tests.compose import ROOT, load_compose, substitute, variables

Compose = dict[str, Any]
Rule = Callable[[Compose], Iterator[str]]

SIMMER = ("migrate", "api", "worker", "sync", "system", "webhooks", "beat", "exporter", "flower")
IMAGES = {"postgres": "postgres:18", "valkey": "valkey/valkey:9"}
DATA = {"postgres": "postgres:/var/lib/postgresql", "valkey": "valkey:/data"}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|AUTH|TOKEN|API_KEY")
SECRETS = {
    "POSTGRES_PASSWORD": "pg",
    "VALKEY_PASSWORD": "vk",
    "FLOWER_BASIC_AUTH": "user:password",
    "FLOWER_COOKIE_SECRET": "cookie",
}


def follows_the_schema(compose: Compose) -> Iterator[str]:
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    Draft7Validator.check_schema(schema)
    for error in Draft7Validator(schema).iter_errors(compose):
        yield f"{error.json_path}: {error.message}"


def restarts(compose: Compose) -> Iterator[str]:
    for name, service in compose["services"].items():
        if service.get("restart") != ("no" if name == "migrate" else "unless-stopped"):
            yield f"{name}: restart is {service.get('restart')!r}"


def is_checked(compose: Compose) -> Iterator[str]:
    for name, service in compose["services"].items():
        check = service.get("healthcheck", {})
        wanted = {"test", "interval", "timeout", "retries", "start_period"}
        if name != "migrate" and (not wanted <= check.keys() or check.get("disable")):
            yield f"{name}: healthcheck lacks one of {sorted(wanted)}"


def keeps_secrets_out(compose: Compose) -> Iterator[str]:
    for service_name, service in compose["services"].items():
        for name, operator in variables(service):
            if SECRET_NAME.search(name) and operator != "?":
                yield f"{service_name}: a secret needs ${{{name}:?message}}"
        for name, value in service.get("environment", {}).items():
            literal = re.search(r"://[^/@]*:[^/@]+@", re.sub(r"\$\{[^}]+\}", "", value))
            if literal or (SECRET_NAME.search(name) and not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)):
                yield f"{service_name}: {name} holds a secret of its own"


def drops_privileges(compose: Compose) -> Iterator[str]:
    for name, service in compose["services"].items():
        if service.get("privileged") or service.get("cap_add") or re.match(r"(root|0)\b", str(service.get("user", ""))):
            yield f"{name}: asks for root"
    for name in SIMMER:
        service = compose["services"][name]
        bound = service.get("cap_drop") == ["ALL"] and service.get("security_opt") == ["no-new-privileges:true"]
        if not bound or service.get("read_only") is not True:
            yield f"{name}: has privileges or a writable image"


def shares_one_image(compose: Compose) -> Iterator[str]:
    images = {name: service.get("image") for name, service in compose["services"].items()}
    wanted = dict.fromkeys(SIMMER, images["api"]) | IMAGES
    for name in images.keys() | wanted.keys():
        if images.get(name) != wanted.get(name):
            yield f"{name}: image is {images.get(name)!r}"


def starts_in_order(compose: Compose) -> Iterator[str]:
    healthy = {"condition": "service_healthy"}
    backing = {"postgres": healthy, "valkey": healthy}
    migrated = backing | {"migrate": {"condition": "service_completed_successfully"}}
    for name in SIMMER:
        wanted = {"postgres": healthy} if name == "migrate" else migrated
        if compose["services"][name].get("depends_on") != wanted:
            yield f"{name}: depends_on must be {wanted}"


def publishes_little(compose: Compose) -> Iterator[str]:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    for name in published.keys() - {"api", "flower"}:
        yield f"{name}: is published"
    for port in substitute(published.get("flower", []), {}):
        if not str(port).startswith("127.0.0.1:"):
            yield f"flower: is published on {port}, beyond loopback"
    for name, service in compose["services"].items():
        if "network_mode" in service:
            yield f"{name}: leaves the project's network"


def outlasts_the_drain(compose: Compose) -> Iterator[str]:
    drain = Settings.model_fields["drain_timeout"].default
    for name in SIMMER:
        grace = re.fullmatch(r"(\d+)s", substitute(compose["services"][name].get("stop_grace_period", "10s"), {}))
        if not grace or int(grace[1]) < drain + 10:
            yield f"{name}: stop_grace_period must be at least {drain + 10} s"


def keeps_data(compose: Compose) -> Iterator[str]:
    for name, volume in DATA.items():
        if compose["services"][name].get("volumes") != [volume] or name not in compose["volumes"]:
            yield f"{name}: must keep its data in {volume}"
    for name in SIMMER:
        for mount in compose["services"][name]["volumes"]:
            # Docker would make a missing file a folder, and the process would fail on that instead.
            if mount["read_only"] is not True or mount["bind"]["create_host_path"] is not False:
                yield f"{name}: {mount['target']} must be read-only and never be created"


def guards_the_broker(compose: Compose) -> Iterator[str]:
    command = compose["services"]["valkey"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    wanted = {"--appendonly": "yes", "--maxmemory-policy": "noeviction"}
    if not wanted.items() <= options.items() or not options.get("--requirepass"):
        yield f"valkey: needs {wanted} and a password"


def passes_signals_on(compose: Compose) -> Iterator[str]:
    for name, service in compose["services"].items():
        command = service.get("command", [])
        if not isinstance(command, list) or command[:1] in (["sh"], ["bash"], ["/bin/sh"]) or "entrypoint" in service:
            yield f"{name}: a shell would stand between SIGTERM and the process"
    for name in SIMMER:
        if not compose["services"][name].get("command"):
            yield f"{name}: has no command"


def consumes_every_queue(compose: Compose) -> Iterator[str]:
    workers = {
        "worker": ",".join(BACKGROUND_QUEUES),
        "sync": SYNC_QUEUE,
        "system": SYSTEM_QUEUE,
        "webhooks": WEBHOOK_QUEUE,
    }
    for name, queues in workers.items():
        if f" -Q {queues} " not in " ".join(compose["services"][name]["command"]):
            yield f"{name}: must consume {queues}"


# Each rule with its violations: where in the document, and what is planted there (DROP: the key is removed).
DROP = object()
VIOLATIONS: list[tuple[Rule, str, object]] = [
    (follows_the_schema, "services.api.healthchek", {}),
    (follows_the_schema, "services.api.depends_on.postgres.condition", "service_ready"),
    (follows_the_schema, "services.worker.stop_grace_period", 45),
    (restarts, "services.worker.restart", DROP),
    (restarts, "services.valkey.restart", "no"),
    (restarts, "services.migrate.restart", "always"),
    (is_checked, "services.beat.healthcheck", DROP),
    (is_checked, "services.postgres.healthcheck.test", DROP),
    (is_checked, "services.system.healthcheck.disable", True),
    (keeps_secrets_out, "services.postgres.environment.POSTGRES_PASSWORD", "postgres"),
    (keeps_secrets_out, "services.postgres.environment.POSTGRES_PASSWORD", "${POSTGRES_PASSWORD}"),
    (keeps_secrets_out, "services.flower.environment.FLOWER_BASIC_AUTH", "${FLOWER_BASIC_AUTH:-admin:admin}"),
    (keeps_secrets_out, "services.api.environment.SIMMER_BROKER_URL", "redis://:secret@valkey:6379/0"),
    (keeps_secrets_out, "services.api.environment.SIMMER_BROKER_URL", "redis://:${VALKEY_PASSWORD:-x}@valkey/0"),
    (keeps_secrets_out, "services.worker.environment.OPENAI_API_KEY", "sk-123"),
    (drops_privileges, "services.api.user", "0:0"),
    (drops_privileges, "services.valkey.user", "root"),
    (drops_privileges, "services.postgres.privileged", True),
    (drops_privileges, "services.worker.cap_drop", DROP),
    (drops_privileges, "services.flower.security_opt", DROP),
    (drops_privileges, "services.beat.read_only", False),
    (shares_one_image, "services.system.image", "simmer:other"),
    (shares_one_image, "services.postgres.image", "postgres:17"),
    (shares_one_image, "services.valkey.image", "redis:8"),
    (shares_one_image, "services.cache", {"image": "memcached"}),
    (starts_in_order, "services.api.depends_on", ["postgres", "valkey", "migrate"]),
    (starts_in_order, "services.worker.depends_on.migrate.condition", "service_started"),
    (starts_in_order, "services.migrate.depends_on", DROP),
    (publishes_little, "services.postgres.ports", ["127.0.0.1:5432:5432"]),
    (publishes_little, "services.flower.ports", ["5555:5555"]),
    (publishes_little, "services.flower.ports", ["${FLOWER_BIND:-0.0.0.0}:5555:5555"]),
    (publishes_little, "services.valkey.network_mode", "host"),
    (outlasts_the_drain, "services.worker.stop_grace_period", DROP),
    (outlasts_the_drain, "services.worker.stop_grace_period", "${STOP_GRACE_PERIOD:-30s}"),
    (keeps_data, "services.postgres.volumes", ["postgres:/var/lib/postgresql/data"]),
    (keeps_data, "services.valkey.volumes", DROP),
    (keeps_data, "volumes.valkey", DROP),
    (keeps_data, "services.api.volumes.0.read_only", False),
    (keeps_data, "services.api.volumes.0.bind.create_host_path", True),
    (guards_the_broker, "services.valkey.command.2", "no"),
    (guards_the_broker, "services.valkey.command", ["valkey-server", "--appendonly", "yes"]),
    (consumes_every_queue, "services.worker.command.9", "jobs"),
    (consumes_every_queue, "services.worker.command.9", "flex,default,priority"),
    (consumes_every_queue, "services.sync.command.9", "default"),
    (consumes_every_queue, "services.system.command.9", "default"),
    (consumes_every_queue, "services.webhooks.command.9", "system"),
    (passes_signals_on, "services.worker.command", "celery -A workers.celery_app worker"),
    (passes_signals_on, "services.beat.command", ["sh", "-c", "celery -A workers.celery_app beat"]),
    (passes_signals_on, "services.api.command", DROP),
    (passes_signals_on, "services.api.entrypoint", "/start.sh"),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in VIOLATIONS))


def plant(compose: Compose, path: str, value: object) -> Compose:
    """A copy of the document with `value` at the dotted `path`; its YAML aliases are separate places from then on."""
    planted: Compose = json.loads(json.dumps(compose))
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place: Any = planted
    for part in parents:
        place = place[part]
    if value is DROP:
        del place[last]
    else:
        place[last] = copy.deepcopy(value)
    return planted


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_compose_file_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(load_compose())) == []


@pytest.mark.parametrize(("rule", "path", "value"), VIOLATIONS, ids=lambda part: getattr(part, "__name__", None))
def test_rule_complains_of_a_planted_violation(rule: Rule, path: str, value: object) -> None:
    complaints = list(rule(plant(load_compose(), path, value)))
    assert any(path.split(".")[1] in complaint for complaint in complaints), complaints


def test_document_is_valid_with_its_variables_substituted() -> None:
    assert list(follows_the_schema(substitute(load_compose(), SECRETS))) == []


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_refuses_to_start_without_a_secret(name: str, value: str | None) -> None:
    environment = {key: held for key, held in (SECRETS | {name: value}).items() if held is not None}
    with pytest.raises(LookupError, match=name):
        substitute(load_compose(), environment)


def test_example_environment_names_every_variable_and_no_value() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.removesuffix("=") for line in lines if line.endswith("=")}
    assert not [line for line in lines if "=" in line and not line.endswith("=")], "a variable has a value"
    found = variables(load_compose())
    assert named == {name if operator == "?" else f"#{name}" for name, operator in found}
    assert {name for name, operator in found if operator == "?"} == SECRETS.keys()


def test_example_models_file_is_valid() -> None:
    catalog = load_catalog(ROOT / "deploy/models.example.toml")
    assert catalog.resolve("gpt-4.1-mini").max_attempts == 2
    assert catalog.resolve("small").model == "qwen3-8b"
