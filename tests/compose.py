"""Reads compose.yaml as Docker Compose does: merge keys resolved, variables substituted from an environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::(?P<operator>[-?])(?P<argument>[^}]*))?\})")


def load_compose() -> dict[str, Any]:
    """The document as it is written, before any variable is substituted."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return document


def substitute(value: Any, environment: Mapping[str, str]) -> Any:
    """`value` with the variables in all its strings replaced; LookupError for a required one that is unset or empty."""
    if isinstance(value, dict):
        return {key: substitute(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, environment) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _replacement(match, environment), value)
    return value


def variables(value: Any) -> set[tuple[str, str | None]]:
    """Every variable in `value` with its operator: "?" for required, "-" for defaulted, None for neither."""
    if isinstance(value, dict):
        return {found for item in value.values() for found in variables(item)}
    if isinstance(value, list):
        return {found for item in value for found in variables(item)}
    if isinstance(value, str):
        return {(match["name"], match["operator"]) for match in _VARIABLE.finditer(value) if match["name"]}
    return set()


def _replacement(match: re.Match[str], environment: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    if value := environment.get(match["name"]):
        return value
    if match["operator"] == "?":
        raise LookupError(f"{match['name']}: {match['argument']}")
    return match["argument"] or ""
