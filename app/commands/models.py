"""`simmer models`: what the models file says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.access import as_json, site_settings
from app.commands.terminal import note, show_json, visible

if TYPE_CHECKING:
    from app.settings import Settings
    from app.upstreams.catalog import Catalog


@click.group()
def models() -> None:
    """Work with the models file."""


@models.command("check")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@as_json
def check_models(path: Path | None, as_json: bool) -> None:
    """Check a models file: PATH, or the one that SIMMER_MODELS names. Exit code 1 also if a key is not set."""
    from app.upstreams.catalog import load_catalog  # noqa: PLC0415 - a shell completes this group's names without it

    settings = site_settings()
    if path is None:
        settings.require("models")
    catalog = load_catalog(path or settings.models or Path())
    missing = catalog.missing_keys()
    if as_json:
        show_json({"models": _described(catalog, settings), "missing_keys": missing})
    else:
        for line in _described(catalog, settings):
            click.echo(
                visible("{name} -> {model} on {upstream} ({base_url}): {limits}".format(**line, limits=_limits(line)))
            )
    if missing:
        note(f"Error: Not set in this environment: {', '.join(missing)}.")
        sys.exit(1)


def _described(catalog: "Catalog", settings: "Settings") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, model in catalog.models.items():
        limits = model.limits(settings.default_limits)
        server = catalog.upstreams[model.upstream]
        found.append(
            {
                "name": name,
                "model": model.model or name,
                "upstream": model.upstream,
                "base_url": str(server.base_url),
                "protocol": server.protocol,
                "soft_time_limit": limits.soft_time_limit,
                "time_limit": limits.time_limit,
                "max_attempts": limits.max_attempts,
            }
        )
    return found


def _limits(line: dict[str, Any]) -> str:
    return "{soft_time_limit:g} s, hard {time_limit:g} s, {max_attempts} attempts".format(**line)
