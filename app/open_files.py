"""How many files and sockets a process may hold open."""

import resource

ENOUGH = 65_536
"""Each waiting job and each waiting client holds a connection; the usual soft limit is 1,024."""


def raise_limit() -> None:
    """Raise the soft limit to what the hard limit allows, up to ENOUGH; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
