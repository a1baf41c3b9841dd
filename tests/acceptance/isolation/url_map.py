"""Every route of the app, as the app itself knows them: from its URL map, for each method that a rule takes."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flask import Flask

from app.api.operation import Operation
from app.factory import create_app
from app.settings import Settings

_MODELS = 'upstreams.none.base_url = "http://127.0.0.1:9/v1"\nmodels.none.upstream = "none"'


@dataclass(frozen=True)
class Route:
    """One method of one address; `<response_id>` and the like stand in the address."""

    method: str
    address: str
    arguments: frozenset[str]
    operation: Operation | None
    """What the view declares; None if it declares nothing."""

    def target(self, arguments: Mapping[str, str]) -> str:
        """The address with its arguments filled in."""
        filled = self.address.replace("<path:", "<")
        for name in self.arguments:
            filled = filled.replace(f"<{name}>", arguments[name])
        return filled

    def __str__(self) -> str:
        return f"{self.method} {self.address}"


def routes_of(app: Flask) -> Iterator[Route]:
    """In the order in which they were registered."""
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        declared = cast("Operation | None", getattr(view, "operation", None))
        for method in sorted(rule.methods or ()):
            yield Route(method, rule.rule, frozenset(rule.arguments), declared)


def _app() -> Flask:
    """An app that is asked for nothing but its URL map."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models.toml"
        models.write_text(_MODELS)
        settings = Settings(
            database_url="postgresql://127.0.0.1:9/none", broker_url="redis://127.0.0.1:9/0", models=models
        )
        return create_app(settings)


ROUTES = tuple(routes_of(_app()))
