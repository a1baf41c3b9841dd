"""The broker, the clocks, and the disk of this machine."""

import shutil
from collections.abc import Iterator

from app.adapters.broker_facts import BrokerFacts
from app.commands.checks.site import Finding, Level, Site
from app.commands.terminal import size, span
from app.domain.errors import ConfigurationError

NEARLY_FULL = 0.9
CLOCK_WARNING = 2.0
CLOCK_BROKEN = 60.0
"""Seconds between two clocks. Ids begin with the time of the machine that made them, so lists and queues get out of
order by as much."""
DISK_WARNING, DISK_BROKEN = 0.1, 0.03
"""Share of the disk that is free."""


def check_broker(site: Site) -> Iterator[Finding]:
    """Whether it answers."""
    if broker := site.broker:
        yield Finding("broker", Level.OK, f"It answers, version {broker.version}, {broker.clients} clients.")
        return
    if not site.settings.broker_url:
        yield Finding("broker", Level.SKIPPED, "SIMMER_BROKER_URL is not set.")
        return
    error = site.why["broker"]
    if isinstance(error, ConfigurationError):
        yield Finding(
            "broker", Level.BROKEN, error.message, "Correct it there, as the broker's own configuration has it."
        )
        return
    mend = "Check that it runs, that SIMMER_BROKER_URL names its host and port, and that no firewall stands between."
    yield Finding("broker", Level.BROKEN, "It does not answer.", mend)


def check_eviction(site: Site) -> Iterator[Finding]:
    """Whether it may throw messages away."""
    broker = site.broker
    if broker is None:
        yield Finding("eviction", Level.SKIPPED, "The broker does not answer.")
    elif broker.policy != "noeviction":
        message = f"maxmemory-policy is {broker.policy}: when its memory is full the broker throws messages away."
        yield Finding("eviction", Level.BROKEN, message, "Set `maxmemory-policy noeviction` in its configuration.")
    else:
        yield _memory(broker)


def check_clocks(site: Site) -> Iterator[Finding]:
    """Whether database, broker and this machine agree on the time."""
    read = [name for name, facts in (("database", site.server), ("broker", site.broker)) if facts]
    if not read:
        yield Finding("clocks", Level.SKIPPED, "Neither database nor broker answers.")
        return
    found = [finding for name in read if (finding := _clock(site, name))]
    agreed = Finding("clocks", Level.OK, f"{', '.join(read).capitalize()} and this machine agree to two seconds.")
    yield from found or [agreed]


def check_disk(site: Site) -> Iterator[Finding]:
    """Whether the disk has room on which `simmer up` keeps database and broker; others' disks can't be seen."""
    home = site.settings.home
    if not home.is_dir():
        return
    usage = shutil.disk_usage(home)
    share = usage.free / usage.total
    level = Level.BROKEN if share < DISK_BROKEN else Level.WARNING if share < DISK_WARNING else Level.OK
    mend = "" if level is Level.OK else "Make room: a database whose disk is full takes no more jobs."
    yield Finding("disk", level, f"{size(usage.free)} of {size(usage.total)} are free in SIMMER_HOME.", mend)


def _memory(broker: BrokerFacts) -> Finding:
    if broker.max_memory and broker.used_memory > broker.max_memory * NEARLY_FULL:
        message = f"Its memory is nearly full: {size(broker.used_memory)} of {size(broker.max_memory)}."
        return Finding("eviction", Level.WARNING, message, "Raise maxmemory; a full broker takes no more messages.")
    limit = f"of {size(broker.max_memory)}" if broker.max_memory else "in use, without a limit"
    return Finding("eviction", Level.OK, f"noeviction, {size(broker.used_memory)} {limit}.")


def _clock(site: Site, name: str) -> Finding | None:
    reading = site.clocks[name]
    if abs(reading.ahead) - reading.doubt < CLOCK_WARNING:
        return None
    way = "behind" if reading.ahead > 0 else "ahead of"
    off = abs(reading.ahead)
    level = Level.BROKEN if off >= CLOCK_BROKEN else Level.WARNING
    message = f"This machine's clock is {span(off)} {way} the {name}'s: lists and queues get out of order."
    return Finding("clocks", level, message, "Run NTP (chrony, systemd-timesyncd) on every machine.")
