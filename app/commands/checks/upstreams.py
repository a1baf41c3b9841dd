"""The models file, the limits in it, and the model servers it names."""

from collections.abc import Iterator

from app.commands.checks.site import Finding, Level, Site
from app.settings import BROKER_VISIBILITY_TIMEOUT
from app.upstreams.catalog import Catalog
from app.upstreams.ping import Pong

_PATTERN = frozenset("*?[")


def check_models(site: Site) -> Iterator[Finding]:
    """Whether the models file is there and right, and its keys are set."""
    catalog = site.catalog
    if not site.settings.models:
        yield Finding("models", Level.SKIPPED, "SIMMER_MODELS is not set.")
        return
    if catalog is None:
        mend = (
            "Correct the file, or SIMMER_MODELS. deploy/models.example.toml shows one; `simmer models check` reads it."
        )
        yield Finding("models", Level.BROKEN, site.why["models"].message, mend)
        return
    if missing := catalog.missing_keys():
        message = f"Not set in this environment: {', '.join(missing)}."
        yield Finding("models", Level.WARNING, message, "Set it where the workers run; the API does not need it.")
    else:
        count = f"{len(catalog.models)} names on {len(catalog.upstreams)} upstreams"
        yield Finding("models", Level.OK, f"{count}, all keys are set.")


def check_limits(site: Site) -> Iterator[Finding]:
    """Whether every client of the broker waits longer for an acknowledgement than a job may take."""
    longest, patience = _longest(site), BROKER_VISIBILITY_TIMEOUT
    if longest < patience:
        ours = Finding("limits", Level.OK, f"Visibility timeout {patience} s, longest hard limit {longest:g} s.")
    else:
        message = f"The longest hard limit, {longest:g} s, is not below the visibility timeout, {patience} s."
        ours = Finding("limits", Level.BROKEN, message, "Lower SIMMER_TIME_LIMIT and the limits in the models file.")
    others = list(_impatient(site, longest))
    yield from others if others and ours.level is Level.OK else [ours, *others]


def check_upstreams(site: Site) -> Iterator[Finding]:
    """Whether the model servers answer, and take the key."""
    if site.catalog is None:
        yield Finding("upstreams", Level.SKIPPED, "There is no models file to read.")
        return
    for name in site.catalog.upstreams:
        pong = site.pongs.get(name)
        yield (
            _answer(site.catalog, name, pong)
            if pong
            else Finding("upstreams", Level.SKIPPED, f"{name}: its key is not set in this environment.")
        )


def _longest(site: Site) -> float:
    limits = [site.settings.time_limit]
    if site.catalog:
        limits += [model.limits(site.settings.default_limits).time_limit for model in site.catalog.models.values()]
    return max(limits)


def _impatient(site: Site, longest: float) -> Iterator[Finding]:
    """Clients of the same broker database with a shorter visibility timeout: the shortest one is everybody's."""
    for node in site.nodes or ():
        theirs = node.visibility_timeout
        if theirs is None or theirs >= BROKER_VISIBILITY_TIMEOUT:
            continue
        level = Level.BROKEN if theirs <= longest else Level.WARNING
        message = (
            f"{node.name} shares the broker, and its visibility timeout is {theirs:g} s instead of "
            f"{BROKER_VISIBILITY_TIMEOUT} s; the longest hard limit is {longest:g} s. The shortest holds for all."
        )
        mend = "Give it a database of its own in the broker, or the same `visibility_timeout` in its transport options."
        yield Finding("limits", level, message, mend)


def _answer(catalog: Catalog, name: str, pong: Pong) -> Finding:
    address = catalog.upstreams[name].base_url
    if pong.status == 0:
        mend = "Check that it runs, its `base_url` in the models file, and that no firewall stands between."
        return Finding("upstreams", Level.BROKEN, f"{name}: nothing answers at {address}.", mend)
    if pong.status in {401, 403}:
        mend = "Correct the key in the variable that `api_key_env` names, or name one."
        return Finding("upstreams", Level.BROKEN, f"{name}: it refuses the key (status {pong.status}).", mend)
    if pong.status == 200 and pong.models is not None:
        return _models(catalog, name, pong.models)
    if pong.status >= 500:
        return Finding("upstreams", Level.WARNING, f"{name}: it answers with status {pong.status}.", "See its own log.")
    mend = (
        "Nothing, if its jobs run; else check that `base_url` ends in what the server's API begins with, such as /v1."
    )
    return Finding("upstreams", Level.WARNING, f"{name}: it answers, but lists no models (status {pong.status}).", mend)


def _models(catalog: Catalog, name: str, listed: frozenset[str]) -> Finding:
    """Whether the server has the models that the file takes from it."""
    entries = [(public, entry) for public, entry in catalog.models.items() if entry.upstream == name]
    wanted = {entry.model or public for public, entry in entries if entry.model or not _PATTERN & set(public)}
    if unknown := sorted(wanted - listed):
        mend = "Correct `model` in the models file, unless the server has it without listing it."
        return Finding("upstreams", Level.WARNING, f"{name}: it does not list {', '.join(unknown)}.", mend)
    return Finding("upstreams", Level.OK, f"{name}: it answers, and lists {len(listed)} models.")
