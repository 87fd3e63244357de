"""F04: what a killed process left is made durable before anything of it is shown, or the file is not opened."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from rightfit_client import Replica, StorageError
from rightfit_client.sqlite import sqlite3
from tests.crash.authority import DEVICE, SCHEMAS

WAL = "replica.db-wal"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What a process leaves that is killed after an edit."""
    left = tmp_path / "left"
    left.mkdir()
    with Replica.open(tmp_path / "replica.db", schema=SCHEMAS[1], device_id=DEVICE) as replica:
        replica.insert("property", address="1 Mill Lane")
        for name in ("replica.db", WAL):
            shutil.copy(tmp_path / name, left / name)
    return left


def test_F04_the_log_that_is_left_is_synced_before_sqlite_opens_the_file(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, connect = os.fsync, sqlite3.connect

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def watched_connect(*args: object, **options: object) -> object:
        done.append("connect")
        return connect(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(sqlite3, "connect", watched_connect)
    with Replica.open(left / "replica.db") as replica:
        assert len(replica.query("property")) == len(replica.pending()) == 1
    assert done == [WAL, "connect"]
    # There is nothing to sync after a process that has closed its replica.
    done.clear()
    Replica.open(left / "replica.db").close()
    assert done == ["connect"]


def test_F04_a_log_that_cannot_be_synced_is_not_shown(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(StorageError) as refused:
            Replica.open(left / "replica.db")
    assert refused.value.code == "io_error"
    assert WAL in str(refused.value)
    with Replica.open(left / "replica.db") as replica:
        assert len(replica.pending()) == 1
