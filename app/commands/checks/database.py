"""The database: reachable, migrated, with room for all connections, and with the keys for what stands in it."""

from collections.abc import Iterator

from app.commands.checks.site import Finding, Level, Site
from app.commands.terminal import size
from app.domain.errors import ServiceError

NEARLY_FULL = 0.9
API_PROCESSES = 2
WORKERS = 4
"""Processes that are counted where nobody tells how many there are."""

_FULL = "All its connections are in use.", "Raise max_connections, or lower SIMMER_DATABASE_POOL."
_REFUSALS = (
    ("password authentication failed", "It refuses the user or the password.", "Correct SIMMER_DATABASE_URL."),
    ("no pg_hba.conf entry", "It lets nobody in from this address.", "Add this machine to pg_hba.conf."),
    ("does not exist", "It runs, but has no such database or user.", "Create it, or correct SIMMER_DATABASE_URL."),
    ("too many clients", *_FULL),
    ("remaining connection slots", *_FULL),
)
"""What the server says to those it does not let in, and what that means."""


def check_database(site: Site) -> Iterator[Finding]:
    """Whether it answers, and takes writes."""
    server = site.server
    if not site.settings.database_url:
        yield Finding("database", Level.SKIPPED, "SIMMER_DATABASE_URL is not set.")
    elif server is None:
        yield _down(site.why["database"])
    elif server.read_only:
        yield Finding(
            "database",
            Level.BROKEN,
            "It is read-only: a standby, or default_transaction_read_only is on.",
            "Point SIMMER_DATABASE_URL at the primary.",
        )
    else:
        yield Finding("database", Level.OK, f"PostgreSQL {server.version} answers, {size(server.database_bytes)}.")


def check_migrations(site: Site) -> Iterator[Finding]:
    """Whether the schema is this release's."""
    if site.server is None:
        yield Finding("migrations", Level.SKIPPED, "The database does not answer.")
    elif site.migrated:
        yield Finding("migrations", Level.OK, "The schema is up to date.")
    else:
        yield Finding("migrations", Level.BROKEN, "The schema is not this release's.", "Run `simmer migrate`.")


def check_connections(site: Site) -> Iterator[Finding]:
    """Whether the server lets all processes in."""
    server = site.server
    if server is None:
        yield Finding("connections", Level.SKIPPED, "The database does not answer.")
        return
    each = site.settings.database_pool + 1
    workers = sum(not node.is_beat for node in site.nodes or ()) or WORKERS
    wanted = (workers + API_PROCESSES) * each
    free = server.usable - server.others
    mend = "Raise max_connections of Postgres (needs a restart), lower SIMMER_DATABASE_POOL, or pool by session."
    if server.open >= server.usable * NEARLY_FULL:
        message = f"{server.open} of {server.usable} connections are in use."
        yield Finding("connections", Level.BROKEN, message, mend)
    elif wanted > free:
        message = (
            f"{workers} workers and {API_PROCESSES} API processes may open {wanted} connections, {each} each; "
            f"Postgres has {free} for them."
        )
        yield Finding("connections", Level.WARNING, message, mend)
    else:
        message = (
            f"{server.open} of {server.usable} in use; {workers} workers and {API_PROCESSES} API processes may open"
        )
        yield Finding("connections", Level.OK, f"{message} {wanted}.")


def check_encryption(site: Site) -> Iterator[Finding]:
    """Whether what is stored can be read here."""
    if not site.migrated:
        yield Finding("encryption", Level.SKIPPED, "The database does not answer, or is not migrated.")
        return
    needed, sealer = site.parts.vitals.keys_needed(), site.parts.sealer
    plain, sealed = "" in needed, needed - {""}
    if missing := sorted(sealed - sealer.key_ids):
        message = f"Stored jobs need encryption keys that are not set here: {', '.join(missing)}."
        mend = "Give SIMMER_ENCRYPTION_KEYS the key back, in every process, and restart. Never drop one that is needed."
        yield Finding("encryption", Level.BROKEN, message, mend)
    elif sealer.current and plain:
        message = f"Some stored jobs are not encrypted, though the key {sealer.current} is set."
        yield Finding("encryption", Level.WARNING, message, "Run `simmer encryption rotate`.")
    elif sealer.current:
        yield Finding("encryption", Level.OK, "All jobs that were looked at open with the keys that are set.")
    else:
        yield Finding("encryption", Level.OK, "Off; nothing that was looked at needs a key.")


def _down(error: ServiceError) -> Finding:
    told = str(error.__cause__)
    for sign, message, mend in _REFUSALS:
        if sign in told:
            return Finding("database", Level.BROKEN, message, mend)
    mend = "Check that it runs, that SIMMER_DATABASE_URL names its host and port, and that no firewall stands between."
    return Finding("database", Level.BROKEN, "It does not answer.", mend)
