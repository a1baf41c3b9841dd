"""The embedded PostgreSQL server: made once, run as a child of the supervisor, kept in the home."""

import hashlib
import os
import shutil
import signal
from pathlib import Path

import psycopg

from app.stack.accounts import Account, plain_environment, server_account
from app.stack.errors import StackError
from app.stack.folders import make_folder, make_home
from app.stack.postgres_binaries import SHARED, bin_folder
from app.stack.private import new_password, read_or_create
from app.stack.process import ProcessSpec

DATABASE = "simmer"
ROLE = "simmer"
MAX_CONNECTIONS = 200
SETUP_TIMEOUT = 120.0
HBA = "host all all 127.0.0.1/32 scram-sha-256\n"
SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # no socket file: its path may be 107 bytes at most, and homes lie deep
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    # The default has a refused row written into the log, prompt and all.
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """A PostgreSQL server of one home, on 127.0.0.1 only, with a password made once."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home.resolve()
        self.port = port
        self._account = server_account()

    @property
    def folder(self) -> Path:
        """Where data and password lie: in the home, or outside of it if the server's user can't get there."""
        inside = self.home / "postgres"
        outside = shared_folder(self.home)
        if (inside / "data").exists():
            return inside
        if (outside / "data").exists() or not self._account.can_enter(self.home):
            return outside
        return inside

    @property
    def url(self) -> str:
        """The address with its password; `prepare()` must have run before."""
        password = (self.folder / "password").read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the cluster, the role and the database, unless they are there already."""
        make_home(self.home)
        folder = self.folder
        make_folder(folder, 0o755)
        data = folder / "data"
        if not data.exists():
            self._create(folder, data)
        elif not self._account.can_enter(data):
            raise StackError(f"the database's user can't reach {data}: let it traverse the folders above")
        _drop_stale_lock(data)

    def process(self) -> ProcessSpec:
        data = self.folder / "data"
        settings = [f"--{name}={value}" for name, value in SERVER_SETTINGS.items()]
        return ProcessSpec(
            name="postgres",
            argv=[
                str(bin_folder(self._account) / "postgres"),
                "-D",
                str(data),
                f"--port={self.port}",
                *settings,
            ],
            env=plain_environment(),
            cwd=Path("/"),
            uid=self._account.uid,
            gid=self._account.gid,
            # fast shutdown: ends open sessions instead of waiting for them
            stop_signal=signal.SIGINT,
            stop_grace=30.0,
            ready=self.ready,
        )

    def ready(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except (psycopg.Error, FileNotFoundError):
            return False
        return True

    def destroy(self) -> None:
        """Delete the data for good; the server must be down."""
        for folder in (self.home / "postgres", shared_folder(self.home)):
            if folder.exists():
                shutil.rmtree(folder)

    def _create(self, folder: Path, data: Path) -> None:
        draft = folder / "data.partial"
        if draft.exists():
            shutil.rmtree(draft)
        make_folder(draft, 0o700)
        self._account.give(draft)
        binaries = bin_folder(self._account)
        password = read_or_create(folder / "password", new_password)
        # reject until the rules below are written: there is no moment with an open door
        _check(
            self._account,
            [
                str(binaries / "initdb"),
                "-D",
                str(draft),
                "-U",
                "postgres",
                "--auth=reject",
                "--no-locale",
                "-E",
                "UTF8",
            ],
        )
        # the password travels through stdin: never in argv, nor in a file the server's user may read
        _check(
            self._account,
            [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"],
            f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n",
        )
        (draft / "pg_hba.conf").write_text(HBA)
        draft.rename(data)


def shared_folder(home: Path) -> Path:
    """The place outside of a home for the data of that home."""
    return SHARED / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _check(account: Account, argv: list[str], stdin: str = "") -> None:
    done = account.run(argv, stdin=stdin, timeout=SETUP_TIMEOUT)
    # single-user mode reports a failed statement on stderr and still exits with 0
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise StackError(f"making the database failed:\n{done.stderr.strip() or done.stdout.strip()}")


def _drop_stale_lock(data: Path) -> None:
    """Remove the lock of a server that was killed, once nothing of it runs any more.

    PostgreSQL does so itself, unless the pid in the lock belongs to some other process of the same user by
    now, as after a reboot. While any process works in the folder the lock stays: it guards the data.
    """
    lock = data / "postmaster.pid"
    processes = Path("/proc")
    if (
        lock.exists()
        and (processes / "self").exists()
        and not any(_works_in(pid, data) for pid in processes.glob("[0-9]*"))
    ):
        lock.unlink(missing_ok=True)


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False
