"""Every setting of Simmer, typed and documented; the only module that reads the environment."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.certificates import check_certificates
from app.domain.encryption import KeyRing, parse_keys
from app.domain.errors import ConfigurationError
from app.domain.jobs import Limits
from app.domain.rates import KeyLimits, parse_rate
from app.domain.webhook_addresses import parse_name_servers, parse_networks

MAX_PROCESSING_SECONDS = 1800
"""The contract's "maximum processing time: 30 minutes". No limit may be set above it."""

BROKER_VISIBILITY_TIMEOUT = 7200
"""Seconds after which Redis hands an unacknowledged message out again. It must stay above every time limit, and
on a shared broker the shortest one wins, so it is fixed."""

# Up to ten years: what a timestamp can't hold would fail only when it is used.
Seconds = Annotated[float, Field(gt=0, le=315_360_000, allow_inf_nan=False)]
LimitSeconds = Annotated[float, Field(gt=0, le=MAX_PROCESSING_SECONDS, allow_inf_nan=False)]


def _check_scheme(url: str, *, allowed: set[str], example: str) -> None:
    if url and url.partition("://")[0] not in allowed:
        raise ValueError(f"must look like {example}")


_POSTGRES = partial(
    _check_scheme, allowed={"postgresql", "postgres"}, example="postgresql://user:password@host:5432/name"
)
_REDIS = partial(_check_scheme, allowed={"redis", "rediss"}, example="redis://:password@host:6379/0 (for Valkey too)")
# Texts that are parsed where they are used, and here to see whether they can be.
_PARSED: dict[str, Callable[[str], object]] = {
    "database_url": _POSTGRES,
    "broker_url": _REDIS,
    "create_rate": parse_rate,
    "poll_rate": parse_rate,
    "webhook_allowed_networks": parse_networks,
    "webhook_nameservers": parse_name_servers,
    "webhook_ca_file": check_certificates,
    "encryption_keys": parse_keys,
}


class Settings(BaseSettings):
    """All settings, read from `SIMMER_…` environment variables. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="SIMMER_", frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str = Field(
        default="",
        repr=False,
        description="PostgreSQL to keep jobs in, `postgresql://user:password@host:port/name`. "
        "`simmer up` starts its own when this is not set.",
    )
    broker_url: str = Field(
        default="",
        repr=False,
        description="Celery broker, `redis://:password@host:port/0` (Valkey or Redis). "
        "`simmer up` starts its own when this is not set.",
    )
    models: Path | None = Field(
        default=None, description="Path of the TOML file that maps model names to upstream model servers."
    )
    home: Path = Field(default=Path(".simmer"), description="Folder in which `simmer up` keeps its state.")

    soft_time_limit: LimitSeconds = Field(
        default=1770,
        description="Default soft limit of one try: the job is failed with `timeout`. A model's entry may set its own.",
    )
    time_limit: LimitSeconds = Field(
        default=1800,
        description="Default hard limit of one try: kills what ignored the soft limit. "
        "A model's entry may set its own.",
    )
    max_attempts: int = Field(
        default=4,
        ge=1,
        le=100,
        description="How often a job may be sent upstream, all causes of a re-run together.",
    )
    queue_timeout: Seconds = Field(
        default=86_400,
        description="How long a job may wait to be started before it fails with `queue_timeout`.",
    )
    retention: Seconds = Field(default=86_400, description="How long a result is kept after the job ended.")

    lease: Seconds = Field(
        default=60,
        description="How long a worker may be silent before its jobs are taken from it and run again.",
    )
    heartbeat_interval: Seconds = Field(
        default=10, description="How often a worker extends its leases. At most a third of `SIMMER_LEASE`."
    )
    drain_timeout: Seconds = Field(
        default=30,
        description="How long a worker may finish its jobs after SIGTERM before it hands them back.",
    )
    sweep_interval: Seconds = Field(
        default=5, description="How often beat has lost jobs rescued and lost messages sent again."
    )
    redispatch_after: Seconds = Field(
        default=10,
        description="How long a queued job's message may be missing before it is sent again; doubles.",
    )
    redispatch_limit: int = Field(
        default=2000, ge=1, description="The broker's backlog up to which the sweep sends messages again."
    )
    purge_interval: Seconds = Field(default=60, description="How often beat has expired results deleted.")
    purge_batch: int = Field(default=1000, ge=1, le=50_000, description="Rows that one purge statement deletes.")

    retry_backoff: Seconds = Field(
        default=1,
        description="First pause before an upstream call is repeated; doubles, with jitter, up to 60 s.",
    )
    upstream_connect_timeout: Seconds = Field(default=10, description="How long connecting to a model server may take.")

    sync_timeout: LimitSeconds = Field(
        default=600,
        description="How long the client of a synchronous request is kept waiting before it gets a 504 with the job's "
        "id; the job runs on.",
    )
    wait_poll: Seconds = Field(
        default=5,
        description="How often a process asks the database about all jobs that its clients wait for, "
        "in case the broker lost the news.",
    )
    stream_window: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="For how long a worker gathers a stream's deltas into one event while it is busy sending.",
    )
    stream_keepalive: Seconds = Field(
        default=15, description="How long a stream may be silent before a comment line keeps its connection awake."
    )

    create_rate: str = Field(
        default="6000/minute",
        description="How many responses one API key may create, `COUNT/PERIOD`; a key may have its own.",
    )
    poll_rate: str = Field(
        default="60000/minute", description="How many other requests one API key may send; a key may have its own."
    )
    max_active: int = Field(
        default=100_000,
        ge=1,
        description="How many jobs of one API key may be queued or in progress at once; a key may have its own.",
    )
    max_queued: int = Field(
        default=100_000,
        ge=1,
        description="How many jobs of one API key may be queued at once; a key may have its own.",
    )
    max_queued_total: int = Field(
        default=1_000_000, ge=1, description="How many jobs of all keys may be queued; beyond, creates get a 503."
    )

    max_concurrent_requests: int = Field(
        default=16,
        ge=1,
        le=10_000,
        description="How many requests one API process works on at once; beyond, they get a 503. Those that only wait "
        "do not count.",
    )
    database_pool: int = Field(
        default=10, ge=1, le=200, description="Database connections that one process holds at most."
    )
    database_pool_timeout: Seconds = Field(
        default=2, description="How long a request waits for a free database connection before it gets a 503."
    )
    statement_timeout: Seconds = Field(default=10, description="The server ends a statement that takes longer.")
    lock_timeout: Seconds = Field(default=5, description="The server ends a wait for a row lock that takes longer.")

    max_body_bytes: int = Field(
        default=10 * 1024 * 1024, ge=1024, description="Largest request body in bytes; more gets a 413."
    )
    max_json_depth: int = Field(default=64, ge=1, le=500, description="Deepest nesting of a request body.")
    key_cache: float = Field(
        default=3,
        ge=0,
        le=5,
        description="How long a process trusts a verified API key without asking the database.",
    )

    encryption_keys: str = Field(
        default="",
        repr=False,
        description="Keys that prompts and results are encrypted with in the database, `ID:KEY,ID:KEY`; the first "
        "encrypts, all decrypt. `simmer encryption new-key` makes one. Not encrypted when this is not set.",
    )

    webhook_concurrency: int = Field(
        default=8, ge=1, le=1000, description="How many deliveries one webhook endpoint gets at once."
    )
    webhook_timeout: float = Field(
        default=20,
        gt=0,
        le=30,
        description="How long one try to deliver a webhook may take in all, from the look-up of its name to the reply.",
    )
    webhook_disable_after: Seconds = Field(
        default=432_000, description="How long a webhook endpoint may fail without a success before it is disabled."
    )
    webhook_allowed_networks: str = Field(
        default="",
        description="Networks that webhooks may go to though they are not public, `10.1.0.0/16,fd00::/8`. Loopback, as "
        "in `127.0.0.0/8,::1/128`, may have plain http too; `simmer up` allows that when this is not set.",
    )
    webhook_nameservers: str = Field(
        default="",
        description="Name servers for webhooks, `10.0.0.2,10.0.0.3:5353`; the system's when this is not set.",
    )

    webhook_ca_file: str = Field(
        default="",
        description="File of certificates (PEM) of authorities that webhooks trust besides the system's.",
    )

    metrics_token: str = Field(
        default="", repr=False, description="If set, `/metrics` asks for it: `Authorization: Bearer TOKEN`."
    )
    trace_upstream: bool = Field(
        default=True, description="Whether traces go on in the model servers, by a `traceparent` header."
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log lines that are written."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="`text` for a terminal, `json` for one object a line."
    )

    @field_validator(*_PARSED)
    @classmethod
    def _parsed(cls, text: str, info: ValidationInfo) -> str:
        _PARSED[info.field_name or ""](text)
        return text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.soft_time_limit > self.time_limit:
            raise ValueError("SIMMER_SOFT_TIME_LIMIT must not exceed SIMMER_TIME_LIMIT")
        if self.heartbeat_interval * 3 > self.lease:
            raise ValueError("SIMMER_HEARTBEAT_INTERVAL must be at most a third of SIMMER_LEASE")
        return self

    @property
    def default_limits(self) -> Limits:
        """The limits of a model whose entry sets none."""
        return Limits(self.soft_time_limit, self.time_limit, self.max_attempts)

    @property
    def key_ring(self) -> KeyRing:
        """The encryption keys."""
        return parse_keys(self.encryption_keys)

    @property
    def key_limits(self) -> KeyLimits:
        """What an API key may do for which nothing else was set."""
        rates = parse_rate(self.create_rate), parse_rate(self.poll_rate)
        return KeyLimits(*rates, max_active=self.max_active, max_queued=self.max_queued)

    def require(self, *names: str) -> None:
        """Raise ConfigurationError unless each of the named settings has a value."""
        missing = [f"SIMMER_{name.upper()}" for name in names if not getattr(self, name)]
        if missing:
            raise ConfigurationError(f"Set {' and '.join(missing)}. `simmer up` does this for you on one machine.")


def load_settings() -> Settings:
    """Read the settings; raise ConfigurationError that names each wrong one and what is allowed."""
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError("Wrong settings. " + " ".join(_explain(error))) from None


def read_secret(name: str) -> str | None:
    """The value of a variable that is not Simmer's own: one with an upstream's key, or one of OpenTelemetry's."""
    return os.environ.get(name) or None


def _explain(error: ValidationError) -> list[str]:
    """One sentence for each wrong setting. The value is left out: it may be a secret."""
    sentences = []
    for problem in error.errors():
        name = f"SIMMER_{str(problem['loc'][0]).upper()}: " if problem["loc"] else ""
        sentences.append(f"{name}{problem['msg'].removeprefix('Value error, ')}.")
    return sentences
