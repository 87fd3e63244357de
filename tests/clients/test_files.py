"""The file: whose it is, who may open it, and what is refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rightfit_client import LocalError, OpenError, Replica, ReplicaInUse, StorageError
from rightfit_client.connection import FILE_FORMAT, check_sqlite
from rightfit_client.sqlite import sqlite3
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema

NOTES = Schema(1, {"note": KindSpec(fields={"text": FieldSpec(type="str")})})

HOLDER = """
import sys
from rightfit_client import Replica
replica = Replica.open(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Replica.open(tmp_path / "a.db", schema=NOTES, device_id="a") as replica:
        replica.insert("note", text="kept")
    return tmp_path / "a.db"


def test_a_second_process_is_refused_until_the_first_is_gone_even_by_kill_9(path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(ReplicaInUse, match=f"open in process {holder.pid}"):
            Replica.open(path)
        # Reading beside it is safe.
        with Replica.open(path, read_only=True) as reader:
            assert reader.query("note")[0]["text"] == "kept"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with Replica.open(path) as replica:
        assert len(replica.query("note")) == 1


def test_a_second_replica_in_one_process_is_refused(path: Path) -> None:
    with Replica.open(path), pytest.raises(ReplicaInUse):
        Replica.open(path)


def test_a_link_to_the_file_is_the_same_file(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with Replica.open(path), pytest.raises(ReplicaInUse):
        Replica.open(link)


def test_what_is_open_for_reading_cannot_write(path: Path) -> None:
    with Replica.open(path, read_only=True) as reader:
        for act in (
            lambda: reader.insert("note", text="x"),
            lambda: reader.transaction().__enter__(),
            reader.sync,
            reader.wipe,
        ):
            with pytest.raises(LocalError) as refused:
                act()
            assert refused.value.code in ("read_only", "no_url")


def test_a_reader_sees_what_the_writer_does_meanwhile(path: Path) -> None:
    with Replica.open(path) as writer, Replica.open(path, read_only=True) as reader:
        assert reader.status().pending == 1
        writer.insert("note", text="more")
        assert reader.status().pending == 2
        assert len(reader.query("note")) == 2


def test_reading_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "none.db", read_only=True)
    assert refused.value.code == "missing"
    (tmp_path / "empty.db").touch()
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "empty.db", read_only=True)
    assert refused.value.code == "missing"


def test_a_newer_file_format_is_refused_and_left_alone(path: Path) -> None:
    outside = sqlite3.connect(str(path))
    outside.execute(f"PRAGMA user_version = {FILE_FORMAT + 1}")
    outside.close()
    before = path.read_bytes()
    with pytest.raises(OpenError, match="upgrade it") as refused:
        Replica.open(path)
    assert refused.value.code == "newer_format"
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    outside = sqlite3.connect(str(tmp_path / "other.db"))
    outside.execute("create table t (a)")
    outside.close()
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "other.db", schema=NOTES, device_id="a")
    assert refused.value.code == "not_a_replica"


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but long enough to have a header" * 20)
    with pytest.raises(StorageError) as refused:
        Replica.open(tmp_path / "text.db", schema=NOTES, device_id="a")
    assert refused.value.code == "corrupt"


def test_F04_an_sqlite_with_the_wal_bug_is_refused() -> None:
    with pytest.raises(OpenError, match="pysqlite3") as refused:
        check_sqlite((3, 51, 2))
    assert refused.value.code == "sqlite_too_old"
    check_sqlite((3, 51, 3))


def test_F04_whatever_is_written_is_synced(path: Path) -> None:
    with Replica.open(path) as replica:
        pragmas = [
            replica.database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "no" / "such" / "a.db", schema=NOTES, device_id="a")
    assert refused.value.code == "unreachable"


def test_a_new_file_needs_a_schema_and_a_device(tmp_path: Path) -> None:
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "a.db", device_id="a")
    assert refused.value.code == "needs_schema"
    with pytest.raises(OpenError) as refused:
        Replica.open(tmp_path / "a.db", schema=NOTES)
    assert refused.value.code == "needs_device"
    # What failed has left nothing that would stop the next attempt.
    Replica.open(tmp_path / "a.db", schema=NOTES, device_id="a").close()


def test_another_subjects_token_is_refused(tmp_path: Path, make_token: Callable[..., str]) -> None:
    path = tmp_path / "a.db"
    Replica.open(path, schema=NOTES, token=make_token("dev-a", "ann")).close()
    for token, code in [
        (make_token("dev-a", "bob"), "other_subject"),
        (make_token("dev-a", "ann", tenant="elsewhere"), "other_subject"),
        (make_token("dev-b", "ann"), "other_device"),
    ]:
        with pytest.raises(OpenError) as refused:
            Replica.open(path, token=token)
        assert refused.value.code == code
    with Replica.open(path, token=make_token("dev-a", "ann")) as replica:
        assert replica.status().subject == "memory/ann"
        with pytest.raises(OpenError):
            replica.log_in(make_token("dev-a", "bob"))


def test_what_is_no_token_is_refused(tmp_path: Path) -> None:
    for token in ("", "a.b", "a.b.c", "a.e30.c"):
        with pytest.raises(LocalError) as refused:
            Replica.open(tmp_path / "a.db", schema=NOTES, token=token)
        assert refused.value.code == "invalid_token"


def test_wipe_removes_the_file_unless_edits_would_be_lost(path: Path) -> None:
    replica = Replica.open(path)
    with pytest.raises(LocalError) as refused:
        replica.wipe()
    assert refused.value.code == "pending_edits"
    assert len(replica.query("note")) == 1
    path.with_name("a.db-token").write_text("secret")
    replica.wipe(discard_pending=True)
    assert not [
        one for one in path.parent.iterdir() if one.name.startswith("a.db") and not one.name.endswith("-lock")
    ]
    Replica.open(path, schema=NOTES, device_id="b").close()


def test_closing_twice_does_nothing(path: Path) -> None:
    replica = Replica.open(path)
    replica.close()
    replica.close()
