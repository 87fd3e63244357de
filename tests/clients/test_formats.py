"""Files of an older format are brought up to date when they are opened, and nothing in them is lost."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from rightfit_client import OpenError, Replica, StorageError
from rightfit_client.connection import APPLICATION_ID, FILE_FORMAT
from rightfit_client.opening import SCHEMA
from rightfit_client.sqlite import sqlite3
from rightfit_client.testing import HttpAuthority, token_for
from rightfit_sync.outbox import Entry
from rightfit_sync.packing import decode_row
from rightfit_sync.store import Rejected

Open = Callable[..., Replica]

FORMAT_1 = """
CREATE TABLE rightfit_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rightfit_state (
    id INTEGER PRIMARY KEY CHECK (id = 1), writing INTEGER NOT NULL DEFAULT 0, device_id TEXT NOT NULL,
    subject TEXT NOT NULL, counter INTEGER NOT NULL, former_ids TEXT NOT NULL, cursor TEXT,
    epoch TEXT NOT NULL, tags TEXT NOT NULL, authority_kinds TEXT);
CREATE TABLE rightfit_trunk (
    kind TEXT NOT NULL, entity_id TEXT NOT NULL, seq INTEGER NOT NULL, tags TEXT NOT NULL,
    row BLOB NOT NULL, PRIMARY KEY (kind, entity_id));
CREATE TABLE rightfit_outbox (
    position INTEGER PRIMARY KEY, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
    kind TEXT NOT NULL, entity_id TEXT NOT NULL, pending INTEGER NOT NULL, entry BLOB NOT NULL,
    UNIQUE (device_id, counter));
CREATE INDEX rightfit_outbox_by_entity ON rightfit_outbox (entity_id, kind);
CREATE TABLE rightfit_rejected (
    position INTEGER PRIMARY KEY, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
    rejected BLOB NOT NULL, UNIQUE (device_id, counter));
CREATE TABLE rightfit_lost (
    kind TEXT NOT NULL, entity_id TEXT NOT NULL, device_id TEXT NOT NULL, counter INTEGER NOT NULL,
    PRIMARY KEY (kind, entity_id, device_id, counter)) WITHOUT ROWID;
CREATE TABLE rightfit_conflict (
    kind TEXT NOT NULL, entity_id TEXT NOT NULL, conflict_id TEXT NOT NULL, path TEXT NOT NULL,
    reason TEXT NOT NULL, conflict BLOB NOT NULL,
    PRIMARY KEY (kind, entity_id, conflict_id)) WITHOUT ROWID;
CREATE INDEX rightfit_conflict_by_id ON rightfit_conflict (conflict_id);
"""
COPIED = {
    "rightfit_meta": "name, value",
    "rightfit_state": "id, device_id, subject, counter, former_ids, cursor, epoch, tags, authority_kinds",
    "rightfit_trunk": "kind, entity_id, seq, tags, row",
    "rightfit_rejected": "position, device_id, counter, rejected",
    "rightfit_lost": "*",
    "rightfit_conflict": "*",
}


FORMAT_3 = """
ALTER TABLE rightfit_meta ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rightfit_state ADD COLUMN must_reconcile INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rightfit_state ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rightfit_trunk ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rightfit_outbox ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rightfit_rejected ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rightfit_outbox_answered ON rightfit_outbox (position) WHERE NOT pending;
UPDATE rightfit_meta SET crc = (SELECT crc FROM new.rightfit_meta AS n WHERE n.name = rightfit_meta.name);
UPDATE rightfit_state SET crc = (SELECT crc FROM new.rightfit_state);
UPDATE rightfit_outbox SET crc = checksum(entry);
UPDATE rightfit_trunk SET crc = checksum(row);
UPDATE rightfit_rejected SET crc = checksum(rejected);
"""
GUARD_BEFORE = "(SELECT writing FROM rightfit_state) IS NOT 1"


class RejectedBefore(msgspec.Struct):
    """A rejected change as format 1 wrote it: it did not name the digest."""

    change: msgspec.Raw
    outcome: msgspec.Raw


def write_as_format(path: Path, file_format: int) -> None:
    """Write the closed replica at `path` anew, as a program of the time would have."""
    old = path.with_name("old.db")
    connection = sqlite3.connect(old)
    connection.executescript(FORMAT_1)
    connection.execute("ATTACH ? AS new", (str(path),))
    for table, columns in COPIED.items():
        names = "" if columns == "*" else f"({columns})"
        connection.execute(f"INSERT INTO {table} {names} SELECT {columns} FROM new.{table}")
    for position, pending, blob in connection.execute(
        "SELECT position, pending, entry FROM new.rightfit_outbox"
    ):
        change = msgspec.msgpack.decode(blob, type=Entry).change
        row = (
            position,
            change.dot.device_id,
            change.dot.counter,
            change.kind,
            change.entity_id,
            pending,
            blob,
        )
        connection.execute("INSERT INTO rightfit_outbox VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("UPDATE rightfit_state SET counter = max(counter, ?)", (change.dot.counter,))
    for position, blob in connection.execute("SELECT position, rejected FROM rightfit_rejected").fetchall():
        before = msgspec.msgpack.encode(msgspec.msgpack.decode(blob, type=RejectedBefore))
        connection.execute("UPDATE rightfit_rejected SET rejected = ? WHERE position = ?", (before, position))
    for rowid, blob in connection.execute("SELECT rowid, row FROM rightfit_trunk").fetchall():
        before = msgspec.msgpack.encode(decode_row(blob))
        connection.execute("UPDATE rightfit_trunk SET row = ? WHERE rowid = ?", (before, rowid))
    made = connection.execute(
        "SELECT type, name, sql FROM new.sqlite_master ORDER BY type = 'trigger'"
    ).fetchall()
    for kind, name, sql in made:
        if kind == "trigger" or (kind == "table" and not name.startswith("rightfit_")):
            connection.execute(re.sub(r'NOT "[^"]*"\(\)', GUARD_BEFORE, sql))
        if kind == "table" and not name.startswith("rightfit_"):
            connection.execute(f"INSERT INTO {name} SELECT * FROM new.{name}")
    if file_format == 3:
        connection.create_function("checksum", 1, crc32)
        connection.executescript(FORMAT_3)
    connection.commit()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {file_format}")
    connection.close()
    old.rename(path)


@pytest.fixture
def before(open_replica: Open, authority: HttpAuthority) -> Path:
    """A file with something in every table."""
    ann, bob = open_replica("dev-a"), open_replica("dev-b")
    order_id = ann.insert("work_order", title="Boiler", tags=["leak"])
    ann.insert("work_order", title="refers to nothing", property_id="nowhere")
    ann.sync()
    bob.sync()
    bob.update("work_order", order_id, title="Boiler drips")
    bob.sync()
    ann.update("work_order", order_id, title="Boiler leaks")
    ann.sync()
    ann.insert("work_order", title="pending")
    assert (len(ann.rejected()), len(ann.conflicts()), len(ann.pending())) == (1, 1, 1)
    ann.close()
    return ann.path


@pytest.fixture
def former(before: Path) -> Path:
    """That file in format 1."""
    write_as_format(before, 1)
    return before


@pytest.mark.parametrize("file_format", [1, 3])
def test_a_file_of_a_former_format_is_opened_with_all_that_it_holds(
    before: Path, file_format: int, open_replica: Open, authority: HttpAuthority
) -> None:
    with Replica.open(before) as now:
        counter = now._store.state().counter
    write_as_format(before, file_format)
    ann = open_replica("dev-a")
    assert ann._store.state().counter == counter
    with (
        closing(sqlite3.connect(before)) as other,
        pytest.raises(sqlite3.OperationalError, match="cannot be written with SQL"),
    ):
        other.execute("UPDATE work_order SET title = 'theirs'")
    assert ann.database.execute("PRAGMA user_version").fetchone() == (FILE_FORMAT,)
    assert [one.holds for one in ann.examine()] == [True] * len(ann.examine())
    assert sorted(row["title"] for row in ann.query("work_order")) == ["Boiler drips", "pending"]
    assert (len(ann.rejected()), len(ann.conflicts()), len(ann.pending())) == (1, 1, 1)
    assert ann.rejected()[0].digest == ""
    ann.update("work_order", ann.query("work_order")[0]["entity_id"], title="Boiler drips again")
    ann.discard(ann.rejected()[0].change.dot)
    assert (ann.sync().pushed, ann.status().state) == (2, "conflict")
    ann.resync()
    assert ann._store.state().must_reconcile
    ann.sync()
    assert not ann._store.state().must_reconcile


def test_a_damaged_row_of_format_2_is_not_made_good_by_the_renewal(
    open_replica: Open, authority: HttpAuthority
) -> None:
    ann = open_replica("dev-a")
    ann.insert("work_order", title="Boiler")
    ann.sync()
    ann.close()
    write_as_format(ann.path, 3)
    connection = sqlite3.connect(ann.path)
    connection.execute("UPDATE rightfit_trunk SET row = zeroblob(20)")
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    again = open_replica("dev-a")
    assert again.database.execute("PRAGMA user_version").fetchone() == (FILE_FORMAT,)
    assert not all(one.holds for one in again.examine())


def test_the_former_format_of_a_rejected_change_lacks_the_digest(former: Path) -> None:
    connection = sqlite3.connect(former)
    (blob,) = connection.execute("SELECT rejected FROM rightfit_rejected").fetchone()
    connection.close()
    assert b"digest" not in blob
    assert msgspec.msgpack.decode(blob, type=Rejected).outcome.code == "unknown_reference"


def test_a_renewal_that_fails_leaves_the_file_as_it_was(
    former: Path, open_replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("rightfit_client.layout.sealed", fails)
    with pytest.raises(StorageError):
        open_replica("dev-a")
    monkeypatch.undo()
    connection = sqlite3.connect(former)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert "crc" not in [row[1] for row in connection.execute("PRAGMA table_info(rightfit_outbox)")]
    connection.close()
    assert len(open_replica("dev-a").pending()) == 1


def test_what_only_reads_cannot_renew_a_file(former: Path) -> None:
    with pytest.raises(OpenError) as refused:
        Replica.open(former, read_only=True)
    assert refused.value.code == "older_format"


def test_a_fact_that_is_not_what_was_written_is_found_out(former: Path, open_replica: Open) -> None:
    ann = open_replica("dev-a")
    sql = "UPDATE rightfit_meta SET value = replace(value, 'work_order', 'work_other') WHERE name = ?"
    ann.database.execute(sql, [SCHEMA])
    ann.close()
    with pytest.raises(StorageError) as refused:
        Replica.open(former)
    assert refused.value.code == "corrupt"


def test_F07_edits_of_a_former_format_are_salvaged_from_a_file_whose_order_is_gone(
    before: Path, authority: HttpAuthority
) -> None:
    write_as_format(before, 3)
    content = bytearray(before.read_bytes())
    content[:4096] = bytes(4096)
    before.write_bytes(content)
    saved = Replica.salvage(before, schema=authority.memory.schema, token=token_for("dev-a"))
    assert (saved.edits >= 1, saved.rejected) == (True, 1)
    with Replica.open(before, token=token_for("dev-a"), transport=authority) as replica:
        assert "pending" in {row["title"] for row in replica.query("work_order")}
