"""What somebody finds who carries the disk away: no word of a prompt or a result, in no file of the server."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import endings, submission
from app.db import jobs as db
from app.db.engine import Database
from app.db.migrate import upgrade
from app.domain.events import pack
from app.domain.ids import new_id
from app.domain.jobs import Completed, Dispatch
from app.domain.requests import JobRequest, message
from app.stack.postgres import EmbeddedPostgres
from tests import rows
from tests.embedded import Server
from tests.encryption import CANARY, connected
from tests.processes import free_port

DEADLINE = 60.0
MARKER = "marker-6ad0f2"
REQUEST = JobRequest("gpt-4.1", (message("user", CANARY),), instructions=CANARY, stream=True, metadata={"kept": MARKER})


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Server]:
    with Server(EmbeddedPostgres(tmp_path, free_port()), tmp_path / "log") as server:
        yield server


def run(database: Database) -> None:
    sent = Dispatch(new_id(), "default", rows.LIMITS)
    with database.transaction() as connection:
        owner = rows.add_owner(connection)
        assert submission.add(connection, sent, owner, REQUEST, queue_timeout=60, redispatch_after=60)
        held = db.claim(connection, sent.job_id, worker="jobs@test", lease=60)
        assert held
        said = Completed([message("assistant", CANARY)], None)
        # A packed log would hide the word by itself.
        assert endings.settle(connection, held, said, retention=60, events=CANARY.encode() + pack([b"{}"]))


def folders_that_hold(text: str, server: Server, folder: Path) -> set[str]:
    """Names of the folders of files in which the text stands, once all is written to disk."""
    server.stop()
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    found = {path.parent.name for path in files if _holds(path, text)}
    server.start()
    return found


def test_no_file_of_the_database_holds_a_word(own_postgres: Server) -> None:
    postgres = own_postgres.embedded
    assert isinstance(postgres, EmbeddedPostgres)
    with connected(own_postgres.url, "a") as database:
        upgrade(database, timeout=DEADLINE)
        run(database)
    # Metadata is searched in, so it is clear: the files were really looked at.
    assert len(folders_that_hold(MARKER, own_postgres, postgres.folder)) == 2
    assert folders_that_hold(CANARY, own_postgres, postgres.folder) == set()
    with connected(own_postgres.url) as database:
        run(database)
    assert len(folders_that_hold(CANARY, own_postgres, postgres.folder)) == 2, "without keys it stands there"


def _holds(path: Path, text: str) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(text.encode()) >= 0
