"""Salvage: from a damaged file to a new one with every edit that can still be read (fault F07).

The damaged file is set aside as `<file>.damaged-<n>` (its `-wal` and `-shm` with it), and nothing in it is changed.
What can be read, row by row, goes into a new file: the outbox, the rejected list, and as much of the trunk as is what
was written. The new file goes on under a new device id, since nobody knows which counters the damaged one had spent;
its first sync compares everything with the authority's, and fetches what is missing.

Each row is known by its checksum, which also tells where a single bit has flipped, so that it can be put right. Where
the tables of edits cannot be read to their end, every page of the file is searched for such rows; that may bring back
an edit that had been answered already, which counts once all the same.

While `<file>-salvaging` is there, the file is not opened: a salvage that was cut off is run again, from what was set
aside.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from rightfit_client.checksum import put_right
from rightfit_client.connection import SALVAGING
from rightfit_client.errors import OpenError, StorageError
from rightfit_client.facts import meta, put_meta, read_state
from rightfit_client.left_log import put_back
from rightfit_client.lock import FileLock
from rightfit_client.marker import sync_directory
from rightfit_client.opening import KEPT_FACTS, SCHEMA, make_file, rebuild
from rightfit_client.pages import flatten, rows
from rightfit_client.sqlite import sqlite3
from rightfit_sync.causality.dot import Dot
from rightfit_sync.feed import Row
from rightfit_sync.outbox import Entry
from rightfit_sync.packing import decode_row
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Rejected, ReplicaState

_SUFFIXES: Final = ("-wal", "-shm", "")
_ENTRY_COLUMNS: Final = (4, 8)
"""Of a row of the outbox, now and up to format 3."""
_REJECTED_COLUMNS: Final = 5
_TOLD_MAX = 20

_read_entry = msgspec.msgpack.Decoder(Entry).decode
_read_rejected = msgspec.msgpack.Decoder(Rejected).decode
_T = TypeVar("_T")


class Salvaged(msgspec.Struct, frozen=True):
    """What a salvage came to: edits of the outbox, rejected changes, and records of the trunk that were saved.

    `set_aside` is the damaged file; `unreadable` says, for people, what could not be read. Records that are missing
    are fetched by the next sync; edits that are missing are lost, unless the authority has them.
    """

    set_aside: Path
    edits: int
    rejected: int
    records: int
    unreadable: list[str]


class _Found(NamedTuple):
    state: ReplicaState | None
    facts: dict[str, str]
    entries: list[Entry]
    rejected: list[Rejected]
    rows: list[Row]
    lost: list[tuple[Key, Dot]]
    unreadable: list[str]


def salvage(path: Path, schema: Schema | None, owner: Callable[[], ReplicaState]) -> Salvaged:
    """Replace the damaged file at `path` by a new one; `owner` and `schema` stand in for what cannot be read.

    Raises `OpenError` (`in_use`, `missing`, `needs_schema`, and those of `owner`).
    """
    lock = FileLock(path)
    try:
        note = path.with_name(path.name + SALVAGING)
        aside = _set_aside(path, note)
        draft, flat = (path.with_name(f"{path.name}-{word}") for word in ("salvaged", "flat"))
        flatten(aside, _beside(aside, "-wal"), flat)
        found = _read(flat)
        _write(draft, found, schema, owner)
        for suffix in _SUFFIXES:
            _beside(path, suffix).unlink(missing_ok=True)
        draft.rename(path)
        flat.unlink()
        sync_directory(path.parent)
        note.unlink()
        sync_directory(path.parent)
    finally:
        lock.release()
    return Salvaged(
        aside, len(found.entries), len(found.rejected), len(found.rows), found.unreadable[:_TOLD_MAX]
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _set_aside(path: Path, note: Path) -> Path:
    """Move the damaged file away and return where it is; a salvage that was cut off has done so already."""
    if note.exists():
        aside = path.with_name(note.read_text(encoding="utf-8"))
    else:
        if not path.exists():
            raise OpenError("missing", f"there is no replica at {path}")
        put_back(path)
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        note.write_text(aside.name, encoding="utf-8")
        sync_directory(path.parent)
    if not aside.exists():
        # The file itself comes last: as long as it is in its place, so may be what belongs to it.
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                _beside(path, suffix).rename(_beside(aside, suffix))
        sync_directory(path.parent)
    return aside


def _read(flat: Path) -> _Found:
    with closing(sqlite3.connect(f"{flat.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        # A statement in the list of tables that cannot be understood must not hide the tables beside it.
        connection.execute("PRAGMA writable_schema = ON")
        reading = _Reading(connection)
        found = _Found(
            state=reading.attempt("the replica's state", lambda: read_state(connection)),
            facts=reading.facts(),
            entries=reading.rows("rightfit_outbox", "entry", _read_entry),
            rejected=reading.rows("rightfit_rejected", "rejected", _read_rejected),
            rows=reading.rows("rightfit_trunk", "row", decode_row),
            lost=reading.lost(),
            unreadable=reading.unreadable,
        )
    return found if reading.is_whole else _searched(flat, found)


class _Reading:
    """Reads what SQLite can, and notes what it cannot; `is_whole` says whether it has every edit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.unreadable: list[str] = []
        self.is_whole = all(self._is_sound(table) for table in ("rightfit_outbox", "rightfit_rejected"))

    def _is_sound(self, table: str) -> bool:
        try:
            said = self._connection.execute(f"PRAGMA integrity_check({table})").fetchall()
        except sqlite3.Error:
            return False
        return [row[0] for row in said] == ["ok"]

    def attempt(self, what: str, read: Callable[[], _T]) -> _T | None:
        """Return what `read` gives, or None where it cannot be read."""
        try:
            return read()
        except (sqlite3.Error, StorageError) as error:
            self.unreadable.append(f"{what}: {error}")
            return None

    def facts(self) -> dict[str, str]:
        """Return what the file knows about itself and a new one should."""
        known = {
            name: self.attempt(f"the fact {name!r}", lambda name=name: meta(self._connection, name))  # type: ignore[misc]
            for name in KEPT_FACTS
        }
        return {name: value for name, value in known.items() if value is not None}

    def rows(self, table: str, column: str, read: Callable[[bytes], _T]) -> list[_T]:
        """Return those rows of a table that are what was written."""
        found: list[_T] = []
        is_edit = table != "rightfit_trunk"
        try:
            sql = f"SELECT rowid, CAST({column} AS BLOB), crc FROM {table} ORDER BY rowid"  # noqa: S608 - words of this module.
            for rowid, blob, crc in self._connection.execute(sql):
                record = _genuine(blob, crc, read)
                if record is None:
                    self.unreadable.append(f"{table}: row {rowid} is not what was written")
                    self.is_whole = self.is_whole and not is_edit
                else:
                    found.append(record)
        except sqlite3.Error as error:
            self.unreadable.append(f"{table}: {error}")
            self.is_whole = self.is_whole and not is_edit
        return found

    def lost(self) -> list[tuple[Key, Dot]]:
        """Return the rejected and void dots."""
        sql = "SELECT kind, entity_id, device_id, counter FROM rightfit_lost"
        found = self.attempt("rightfit_lost", lambda: self._connection.execute(sql).fetchall())
        return [
            ((str(kind), str(entity_id)), Dot(str(device_id), counter))
            for kind, entity_id, device_id, counter in found or ()
            if isinstance(counter, int)
        ]


def _genuine(blob: object, crc: object, read: Callable[[bytes], _T]) -> _T | None:
    """Return the record in a row, if it is what was written but for one bit, which is put right."""
    if not isinstance(blob, bytes) or not isinstance(crc, int):
        return None
    content = put_right(blob, crc)
    try:
        return None if content is None else read(content)
    except msgspec.MsgspecError:
        return None


def _searched(flat: Path, found: _Found) -> _Found:
    """Return `found` with the edits that a search through all pages brings to light, in outbox order."""
    entries: dict[Dot, tuple[int, Entry]] = {}
    rejected = {one.change.dot: one for one in found.rejected}
    for rowid, columns in rows(flat, (*_ENTRY_COLUMNS, _REJECTED_COLUMNS)):
        blob, crc = columns[-2:]
        if len(columns) in _ENTRY_COLUMNS:
            entry = _genuine(blob, crc, _read_entry)
            if entry is not None:
                entries[entry.change.dot] = (rowid, entry)
        else:
            refused = _genuine(blob, crc, _read_rejected)
            if refused is not None:
                rejected.setdefault(refused.change.dot, refused)
    known = {entry.change.dot for entry in found.entries}
    ordered = [entry for _, entry in sorted(entries.values(), key=lambda one: one[0])]
    missing = [entry for entry in found.entries if entry.change.dot not in entries]
    saved = [*missing, *ordered]
    more = len(saved) - len(known)
    if more:
        found.unreadable.append(f"rightfit_outbox: {more} edits were found outside of it and are back")
    return found._replace(entries=saved, rejected=list(rejected.values()))


def _write(draft: Path, found: _Found, schema: Schema | None, owner: Callable[[], ReplicaState]) -> None:
    for suffix in _SUFFIXES:
        _beside(draft, suffix).unlink(missing_ok=True)
    kept = found.facts.get(SCHEMA)
    wanted = schema or (None if kept is None else msgspec.json.decode(kept, type=Schema))
    state = found.state or _state(owner(), found.entries)
    with closing(make_file(draft, wanted, state)) as opened, opened.unit.transaction():
        for name, value in found.facts.items():
            if name != SCHEMA:
                put_meta(opened.connection, name, value)
        opened.store.put_trunks(found.rows)
        for key, dot in found.lost:
            opened.store.put_lost(key, dot)
        for entry in found.entries:
            opened.store.put_entry(entry)
        for rejected in found.rejected:
            opened.store.put_rejected(rejected)
        # Before anything is written under an id whose counter nobody knows.
        opened.core.take_new_id(is_resending=True)
        opened.core.begin_reconciling(is_other_past=True)
        rebuild(opened, opened.schema)


def _state(owner: ReplicaState, entries: Iterable[Entry]) -> ReplicaState:
    """Return the state of a replica whose own could not be read: its edits tell which ids it has used."""
    used = dict.fromkeys(_ids(entries))
    return msgspec.structs.replace(owner, former_ids=[one for one in used if one != owner.device_id])


def _ids(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        yield entry.change.dot.device_id
