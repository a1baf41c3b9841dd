"""One client for each upstream of the models file, made when the first job needs it."""

from dataclasses import dataclass
from importlib import import_module

from app.domain import ports
from app.settings import Settings, read_secret
from app.upstreams.catalog import Catalog, Upstream

_CLIENTS = ("app.upstreams.connection", "app.upstreams.chat", "app.upstreams.responses")
"""Imported when the first job needs them: API, beat and system workers can do without the `openai` SDK, which takes
0.4 s and 13 MB.
"""


def preload() -> None:
    """Import the clients now, in a process whose first job should not wait for that."""
    for name in _CLIENTS:
        import_module(name)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a job goes: the server, and the name it knows the model by."""

    upstream: ports.Upstream
    model: str


class UpstreamRegistry:
    """Build one for each process, after a fork: clients hold open connections."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        """Know the upstreams; connect to none yet."""
        self.catalog = catalog
        self._settings = settings
        self._clients: dict[str, ports.Upstream] = {}

    def route(self, public_name: str) -> Route:
        """The upstream for a public model name. Raises ModelNotFoundError."""
        model = self.catalog.resolve(public_name)
        return Route(self._client(model.upstream), model.model or public_name)

    def _client(self, name: str) -> ports.Upstream:
        if name not in self._clients:
            entry = self.catalog.upstreams[name]
            # setdefault: of two greenlets that get here at once, both use the same client.
            self._clients.setdefault(name, self._connect(entry))
        return self._clients[name]

    def _connect(self, entry: Upstream) -> ports.Upstream:
        from app.upstreams.chat import ChatUpstream  # noqa: PLC0415 - see _CLIENTS
        from app.upstreams.connection import ModelServer  # noqa: PLC0415
        from app.upstreams.responses import ResponsesUpstream  # noqa: PLC0415

        key = read_secret(entry.api_key_env) if entry.api_key_env else None
        server = ModelServer(str(entry.base_url), key, connect_timeout=self._settings.upstream_connect_timeout)
        if entry.protocol == "responses":
            return ResponsesUpstream(server)
        return ChatUpstream(server, max_tokens_parameter=entry.max_tokens_parameter)
