"""LiteLLM's proxy as a peer: its background responses, kept in Redis and polled ("polling via cache").

It runs in a virtual environment of its own, with versions pinned in `litellm.lock`, which `make lock` makes anew.

Followed of its documentation for production: one uvicorn worker a process (with uvloop, its default); a master key;
Redis by host, port and password, not by URL; the default routing strategy and no Redis for the router, which one
process does not share; `LITELLM_LOG=ERROR`, which silences the access log too (and not `json_logs`, which would bring
it back); `LITELLM_MODE=PRODUCTION`; a request timeout; the bundled price list. Responses of the model are not cached
(`supported_call_types: []`): every job calls the model, as Simmer's do, and is spared that work. It has no database:
keys, budgets and spend logs in one would only cost it time. It sends no telemetry; the flag for it does nothing now.

What differs from Simmer: a response is a key in Redis that lives an hour, no committed row, and the process that
accepts it runs it too, as an asyncio task that ends with the process. So its rate of creates includes the runs.
"""

import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.stack import MODEL, ROOT, Stack
from tests.cluster import Client
from tests.processes import Process, free_port, wait_until

LOCK = Path(__file__).with_suffix(".lock")
HOME = ROOT / ".bench" / "litellm"
REDIS_DATABASE = 1
"""Another one than Simmer's, in the same server."""
INSTALL_TIMEOUT = 600.0
START_TIMEOUT = 120.0
RUN_TIMEOUT = 30.0


class UnavailableError(Exception):
    """LiteLLM can't be measured here; the message says why, and what to do."""


@dataclass(frozen=True)
class Litellm:
    """One process of the proxy, and raw HTTP/1.1 requests for a load generator that keeps its connections."""

    url: str
    pid: int
    _key: str = field(repr=False)

    def create_request(self, text: str = "Say something.") -> bytes:
        """Accept a background response; the answer is its object, `queued`."""
        body = json.dumps(_submission(text)).encode()
        return self._request("POST /v1/responses", f"Content-Length: {len(body)}\r\n") + body

    def poll_request(self, response_id: str) -> bytes:
        return self._request(f"GET /v1/responses/{response_id}")

    def completed_response(self) -> str:
        """Create one and poll until it is there, with the model's text; return its id."""
        client = Client(self.url, self._key)
        created = client.request("POST", "/v1/responses", _submission("Say something."))
        assert created.json.get("status") == "queued", created

        def ended() -> Any:
            response = client.request("GET", f"/v1/responses/{created.json['id']}").json
            return response if response["status"] not in ("queued", "in_progress") else None

        response = wait_until(ended, RUN_TIMEOUT, "LiteLLM ran a response")
        assert response["status"] == "completed", response
        assert response["output"][0]["content"][0]["text"], response
        return str(response["id"])

    def _request(self, line: str, headers: str = "") -> bytes:
        host = f"Host: {urlsplit(self.url).netloc}\r\nAuthorization: Bearer {self._key}\r\n"
        return f"{line} HTTP/1.1\r\n{host}Content-Type: application/json\r\n{headers}\r\n".encode()


@contextmanager
def running(stack: Stack) -> Iterator[Litellm]:
    """The proxy beside a stack, with its upstream and its Redis; it has run one response already."""
    _install()
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    config = stack.folder / "litellm.yaml"
    config.write_text(json.dumps(_config(stack)))  # JSON is YAML
    argv = [str(HOME / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {
        "LITELLM_MASTER_KEY": key,
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONPATH": "",
    }
    process = stack.command("litellm", [*argv, "--num_workers", "1"], **env)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(process, Client(url, key)), START_TIMEOUT, "LiteLLM answers")
        litellm = Litellm(url, process.pid, key)
        litellm.completed_response()
        yield litellm
    finally:
        process.power_off()


def _config(stack: Stack) -> dict[str, Any]:
    upstream = {"model": f"openai/{MODEL}", "api_base": stack.upstream_url, "api_key": "none"}
    redis = urlsplit(stack.broker_url)
    cache: dict[str, Any] = {
        "type": "redis",
        "host": redis.hostname,
        "port": redis.port,
        "password": unquote(redis.password or ""),
        "db": REDIS_DATABASE,
        "supported_call_types": [],
    }
    return {
        # The upstream speaks chat completions alone.
        "model_list": [{"model_name": MODEL, "litellm_params": {**upstream, "use_chat_completions_api": True}}],
        "litellm_settings": {
            "cache": True,
            "cache_params": cache,
            "responses": {"background_mode": {"polling_via_cache": "all", "ttl": 3600}},
            "request_timeout": 600,
        },
    }


def _submission(text: str) -> dict[str, Any]:
    return {"model": MODEL, "input": text, "background": True}


def _answers(process: Process, client: Client) -> bool:
    assert process.running, f"LiteLLM ended at its start:\n{process.output()}"
    try:
        return client.request("GET", "/health/liveliness").status == 200
    except OSError:
        return False


def _install() -> None:
    """Make the virtual environment, unless it stands as the lock wants it."""
    wanted = f"{sys.version} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    mark = HOME / "installed"
    if mark.exists() and mark.read_text() == wanted:
        return
    HOME.parent.mkdir(exist_ok=True)
    uv, log = str(Path(sys.executable).with_name("uv")), HOME.with_suffix(".log")
    make = [uv, "venv", "--clear", "--python", sys.executable, str(HOME)]
    fill = [uv, "pip", "install", "--python", str(HOME), "--no-deps", "--require-hashes", "-r", str(LOCK)]
    try:
        with log.open("wb") as output:
            for command in (make, [*fill, "--compile-bytecode"]):
                subprocess.run(  # noqa: S603 - no shell, and no word of a stranger's
                    command, check=True, stdout=output, stderr=output, timeout=INSTALL_TIMEOUT
                )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"LiteLLM could not be installed: see {log}, and run it again.") from error
    mark.write_text(wanted)
