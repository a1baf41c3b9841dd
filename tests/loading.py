"""Which libraries a program holds in the end, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping

HEAVY = {
    *(
        "alembic",
        "celery",
        "cryptography",
        "dns",
        "flask",
        "flower",
        "gevent",
        "httpcore2",
        "httpx2",
        "kombu",
        "limits",
    ),
    *("openai", "opentelemetry", "prometheus_client", "psycopg", "pydantic", "redis", "rich", "sqlalchemy"),
}
MARK = "loaded: "
_AT_EXIT = f"import atexit, sys; atexit.register(lambda: print({MARK!r}, *sorted(sys.modules), file=sys.stderr))\n"


def loaded(program: str, env: Mapping[str, str] | None = None) -> set[str]:
    """Those of HEAVY that are loaded when `program` ends, whatever its exit code."""
    left = {name: value for name, value in os.environ.items() if not name.startswith("SIMMER_")}
    done = subprocess.run(
        [sys.executable, "-c", _AT_EXIT + program],
        env={**left, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said, mark, names = done.stderr.rpartition(MARK)
    assert mark, done.stderr
    assert "Traceback" not in said, said
    return HEAVY & set(names.split())


def loaded_by(*arguments: str, env: Mapping[str, str] | None = None) -> set[str]:
    """The same for the command `simmer`."""
    return loaded(f"sys.argv = ['simmer', *{list(arguments)!r}]; from app.cli import main; main()", env)
