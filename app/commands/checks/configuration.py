"""Settings that load, and still do not go well together."""

from collections.abc import Iterator

from app.commands.checks.site import Finding, Level, Site
from app.domain.errors import ConfigurationError
from app.settings import Settings

SETTINGS_LIST = "`simmer settings` lists every setting, its default and what it means."


def unreadable(error: ConfigurationError) -> Finding:
    """The settings do not load: nothing else can be examined."""
    return Finding(
        "settings", Level.BROKEN, error.message.removeprefix("Wrong settings. "), f"Correct it. {SETTINGS_LIST}"
    )


def check_settings(site: Site) -> Iterator[Finding]:
    """Whether what must be set is set."""
    required = ("database_url", "broker_url", "models")
    missing = [f"SIMMER_{name.upper()}" for name in required if not getattr(site.settings, name)]
    if missing:
        mend = "Set it in the environment of every process, or run this where `simmer up` runs."
        yield Finding("settings", Level.BROKEN, f"Not set: {', '.join(missing)}.", f"{mend} {SETTINGS_LIST}")
    else:
        yield Finding("settings", Level.OK, "They are read, and complete.")


def check_intervals(site: Site) -> Iterator[Finding]:
    """Whether lost jobs and lost messages are found in time."""
    settings = site.settings
    found = [Finding("intervals", Level.WARNING, message, mend) for message, mend in _ill_matched(settings)]
    lease, sweep = settings.lease, settings.sweep_interval
    words = f"Heartbeat {settings.heartbeat_interval:g} s, lease {lease:g} s, sweep {sweep:g} s."
    yield from found or [Finding("intervals", Level.OK, words)]


def _ill_matched(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is wrong between two settings, and its mend."""
    lease, sweep, again = settings.lease, settings.sweep_interval, settings.redispatch_after
    if sweep > lease:
        yield (
            f"Leases run out after {lease:g} s, but the sweep that rescues lost jobs comes every {sweep:g} s.",
            "Set SIMMER_SWEEP_INTERVAL well below SIMMER_LEASE, for example to 5.",
        )
    if again >= settings.queue_timeout:
        limit = settings.queue_timeout
        yield (
            f"Lost messages are sent again after {again:g} s, but jobs fail after {limit:g} s in the queue.",
            "Set SIMMER_REDISPATCH_AFTER well below SIMMER_QUEUE_TIMEOUT, for example to 10.",
        )
    if again < sweep:
        yield (
            f"Lost messages could be sent again after {again:g} s, but the sweep that does it comes every {sweep:g} s.",
            "Set SIMMER_SWEEP_INTERVAL to no more than SIMMER_REDISPATCH_AFTER.",
        )
    if lease > settings.time_limit:
        limit = settings.time_limit
        yield (
            f"A lease lasts {lease:g} s, longer than a try may ({limit:g} s): jobs of a lost worker time out.",
            "Set SIMMER_LEASE below SIMMER_TIME_LIMIT, for example to 60.",
        )
