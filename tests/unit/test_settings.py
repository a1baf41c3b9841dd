"""Settings: read from the environment, checked at start, told without their values."""

import json
import traceback
from pathlib import Path
from typing import Any

import certifi
import pytest
from click.testing import CliRunner

from app.cli import cli
from app.domain.errors import ConfigurationError
from app.domain.jobs import Limits
from app.settings import Settings, load_settings, read_secret

ROOT = Path(__file__).parents[2]
CANARY = "canary-7c1f"

# What each variable is set to, and what the setting then is: never its default.
VALUES: dict[str, tuple[str, Any]] = {
    "database_url": ("postgresql://u:p@db/simmer", "postgresql://u:p@db/simmer"),
    "broker_url": ("rediss://:p@broker/1", "rediss://:p@broker/1"),
    "models": ("/etc/models.toml", Path("/etc/models.toml")),
    "home": ("/var/lib/simmer", Path("/var/lib/simmer")),
    "soft_time_limit": ("100", 100.0),
    "time_limit": ("110.5", 110.5),
    "max_attempts": ("7", 7),
    "queue_timeout": ("3600", 3600.0),
    "retention": ("0.5", 0.5),
    "lease": ("90", 90.0),
    "heartbeat_interval": ("30", 30.0),
    "drain_timeout": ("5", 5.0),
    "sweep_interval": ("6", 6.0),
    "redispatch_after": ("11", 11.0),
    "redispatch_limit": ("12", 12),
    "purge_interval": ("13", 13.0),
    "purge_batch": ("14", 14),
    "retry_backoff": ("15", 15.0),
    "upstream_connect_timeout": ("16", 16.0),
    "sync_timeout": ("22", 22.0),
    "wait_poll": ("23", 23.0),
    "stream_window": ("0.5", 0.5),
    "stream_keepalive": ("24", 24.0),
    "create_rate": ("25/second", "25/second"),
    "poll_rate": ("26/10 minutes", "26/10 minutes"),
    "max_active": ("27", 27),
    "max_queued": ("28", 28),
    "max_queued_total": ("29", 29),
    "max_concurrent_requests": ("30", 30),
    "database_pool": ("17", 17),
    "database_pool_timeout": ("18", 18.0),
    "statement_timeout": ("19", 19.0),
    "lock_timeout": ("20", 20.0),
    "max_body_bytes": ("2048", 2048),
    "max_json_depth": ("21", 21),
    "key_cache": ("0", 0.0),
    "encryption_keys": (f"a:{'A' * 43}=", f"a:{'A' * 43}="),
    "webhook_concurrency": ("31", 31),
    "webhook_timeout": ("7", 7.0),
    "webhook_disable_after": ("32", 32.0),
    "webhook_allowed_networks": ("10.1.0.0/16", "10.1.0.0/16"),
    "webhook_nameservers": ("10.0.0.2", "10.0.0.2"),
    "webhook_ca_file": (certifi.where(), certifi.where()),
    "metrics_token": ("33", "33"),
    "trace_upstream": ("false", False),
    "log_level": ("DEBUG", "DEBUG"),
    "log_format": ("json", "json"),
}
# One value that each must refuse, and words of the answer that say what is allowed.
WRONG = {
    "database_url": (f"mysql://u:{CANARY}@db/x", "postgresql://user:password@host:5432/name"),
    "broker_url": (f"amqp://u:{CANARY}@broker", "redis://:password@host:6379/0"),
    "soft_time_limit": ("1801", "less than or equal to 1800"),
    "time_limit": ("1801", "less than or equal to 1800"),
    "max_attempts": ("101", "less than or equal to 100"),
    "queue_timeout": ("0", "greater than 0"),
    "retention": ("inf", "a finite number"),
    "lease": (CANARY, "a valid number"),
    "heartbeat_interval": ("-1", "greater than 0"),
    "drain_timeout": ("nan", "a finite number"),
    "sweep_interval": ("0", "greater than 0"),
    "redispatch_after": ("0", "greater than 0"),
    "redispatch_limit": ("0", "greater than or equal to 1"),
    "purge_interval": (CANARY, "a valid number"),
    "purge_batch": ("50001", "less than or equal to 50000"),
    "retry_backoff": ("0", "greater than 0"),
    "upstream_connect_timeout": ("0", "greater than 0"),
    "sync_timeout": ("1801", "less than or equal to 1800"),
    "wait_poll": ("0", "greater than 0"),
    "stream_window": ("1.5", "less than or equal to 1"),
    "stream_keepalive": ("-1", "greater than 0"),
    "create_rate": (CANARY, "must be COUNT/PERIOD such as 6000/minute"),
    "poll_rate": ("0/minute", "must be COUNT/PERIOD such as 6000/minute"),
    "max_active": ("0", "greater than or equal to 1"),
    "max_queued": ("many", "a valid integer"),
    "max_queued_total": ("-1", "greater than or equal to 1"),
    "max_concurrent_requests": ("0", "greater than or equal to 1"),
    "database_pool": ("1.5", "a valid integer"),
    "database_pool_timeout": ("0", "greater than 0"),
    "statement_timeout": ("0", "greater than 0"),
    "lock_timeout": ("0", "greater than 0"),
    "max_body_bytes": ("1023", "greater than or equal to 1024"),
    "max_json_depth": ("501", "less than or equal to 500"),
    "key_cache": ("5.1", "less than or equal to 5"),
    "encryption_keys": (f"a:{CANARY}", "must be ID:KEY"),
    "webhook_concurrency": ("0", "greater than or equal to 1"),
    "webhook_timeout": ("31", "less than or equal to 30"),
    "webhook_disable_after": ("0", "greater than 0"),
    "webhook_nameservers": (CANARY, "Write DNS servers as addresses"),
    "webhook_allowed_networks": (CANARY, "Write networks as in 10.1.2.0/24,::1/128"),
    "webhook_ca_file": (__file__, "must be a file that can be read, with certificates in PEM"),
    "trace_upstream": ("maybe", "a valid boolean"),
    "log_level": (CANARY, "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    "log_format": (CANARY, "'text' or 'json'"),
}
ANY_TEXT = {"models", "home", "metrics_token"}


@pytest.fixture(autouse=True)
def _no_settings_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def variable(name: str) -> str:
    return f"SIMMER_{name.upper()}"


def refusal() -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    shown = "".join(traceback.format_exception(refused.value))
    assert CANARY not in shown + repr(refused.value)
    return refused.value.message


def test_the_tables_here_name_every_setting() -> None:
    assert set(VALUES) == set(Settings.model_fields) == set(WRONG) | ANY_TEXT


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_reads_its_own_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, wanted = VALUES[name]
    default = Settings()
    # Only soft_time_limit bounds time_limit from below.
    also = {"soft_time_limit": text} if name == "time_limit" else {}
    monkeypatch.setenv(variable(name), text)
    for other, value in also.items():
        monkeypatch.setenv(variable(other), value)
    monkeypatch.setenv(variable("lease"), VALUES["lease"][0])
    found = load_settings()
    assert getattr(found, name) == wanted != getattr(default, name)
    changed = {field for field in Settings.model_fields if getattr(found, field) != getattr(default, field)}
    assert changed == {name, "lease", *also}


def test_a_variable_without_the_prefix_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE", "90")
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/x")
    assert load_settings() == Settings()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(variable(name), "")
    assert load_settings().lease == 60


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value, allowed = WRONG[name]
    monkeypatch.setenv(variable(name), value)
    message = refusal()
    assert f"{variable(name)}: " in message
    assert allowed in message
    assert "\n" not in message
    for other in set(Settings.model_fields) - {name}:
        assert f"{variable(other)}:" not in message


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (value, _) in WRONG.items():
        monkeypatch.setenv(variable(name), value)
    message = refusal()
    assert [name for name in WRONG if f"{variable(name)}: " not in message] == []


@pytest.mark.parametrize("url", ["postgres://h/d", "postgresql://h/d"])
def test_both_schemes_of_postgres_are_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SIMMER_DATABASE_URL", url)
    assert load_settings().database_url == url


@pytest.mark.parametrize("url", [CANARY, f"postgresql+psycopg://u:{CANARY}@h/d", f"//u:{CANARY}@h/d"])
def test_no_other_scheme_of_a_database_is_taken_nor_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("SIMMER_DATABASE_URL", url)
    assert "SIMMER_DATABASE_URL: must look like" in refusal()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"soft_time_limit": "11", "time_limit": "10"}, "SIMMER_SOFT_TIME_LIMIT must not exceed SIMMER_TIME_LIMIT"),
        ({"time_limit": "10"}, "SIMMER_SOFT_TIME_LIMIT must not exceed SIMMER_TIME_LIMIT"),
        (
            {"heartbeat_interval": "10.1", "lease": "30"},
            "SIMMER_HEARTBEAT_INTERVAL must be at most a third of SIMMER_LEASE",
        ),
    ],
)
def test_settings_must_fit_each_other(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sentence: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(variable(name), value)
    assert sentence in refusal()


def test_what_just_fits_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"soft_time_limit": 10, "time_limit": 10, "heartbeat_interval": 10, "lease": 30}.items():
        monkeypatch.setenv(variable(name), str(value))
    assert load_settings().default_limits == Limits(10, 10, 4)


def test_require_names_all_that_is_missing() -> None:
    settings = Settings(broker_url="redis://h")
    settings.require("broker_url")
    with pytest.raises(ConfigurationError) as refused:
        settings.require("database_url", "broker_url", "models")
    assert refused.value.message.startswith("Set SIMMER_DATABASE_URL and SIMMER_MODELS.")


def test_secrets_stay_out_of_the_repr() -> None:
    settings = Settings(
        database_url=f"postgresql://u:{CANARY}@h/d",
        broker_url=f"redis://:{CANARY}@h",
        encryption_keys=f"a:{'C4N' * 14}A=",
    )
    assert CANARY not in repr(settings) + str(settings)
    assert "C4N" not in repr(settings) + str(settings) + repr(settings.key_ring)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().lease = 1  # type: ignore[misc]


def test_an_empty_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s")
    assert read_secret("SOME_KEY") == "s"
    monkeypatch.setenv("SOME_KEY", "")
    assert read_secret("SOME_KEY") is None
    monkeypatch.delenv("SOME_KEY")
    assert read_secret("SOME_KEY") is None


def test_the_documented_table_is_the_commands_output() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- settings -->\n")
    table, end, _ = rest.partition("<!-- /settings -->")
    assert end, "docs/settings.md has lost its markers"
    wanted = CliRunner().invoke(cli, ["settings"]).stdout
    assert table.strip() == wanted.strip(), "put the output of `simmer settings` between the markers"


def test_programs_get_the_table_as_json() -> None:
    told = json.loads(CliRunner().invoke(cli, ["settings", "--json"]).stdout)
    assert [line["name"] for line in told] == [variable(name) for name in Settings.model_fields]
    by_name = {line["name"]: line for line in told}
    assert by_name["SIMMER_LEASE"]["default"] == "60"
    assert by_name["SIMMER_METRICS_TOKEN"]["default"] is None
    assert all(line["meaning"].endswith(".") for line in told)


def test_the_table_has_a_row_with_a_meaning_for_each_setting() -> None:
    rows = CliRunner().invoke(cli, ["settings"]).stdout.splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    assert [row[0] for row in cells] == [f"`{variable(name)}`" for name in Settings.model_fields]
    assert [row for row in cells if len(row) != 3 or not row[2].endswith(".")] == []
