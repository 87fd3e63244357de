"""A look at the health of a replica file: what must hold, whether it does, and what can be made anew.

The trunk and the outbox are the truth; whatever follows from them (view tables, conflicts, guards) can be
rebuilt. A record of the trunk that cannot be read is dropped and fetched again: the authority has it. Damage to
what nobody else has is reported, never papered over; see `salvage`.
"""

from collections.abc import Callable, Iterator
from zlib import crc32

import msgspec

from rightfit_client.connection import FILE_FORMAT, pragma
from rightfit_client.errors import StorageError
from rightfit_client.opening import OpenFile, rebuild
from rightfit_client.query import quoted
from rightfit_client.sqlite import sqlite3
from rightfit_sync.life import is_deleted
from rightfit_sync.packing import decode_row
from rightfit_sync.store import Key

_SHOWN_MAX = 3
_SALVAGE = "run `rightfit replica salvage`: it saves what can be read"
_REPAIR = "doctor --repair"


class Finding(msgspec.Struct, frozen=True):
    """One check. `remedy` says what to do where it does not hold."""

    check: str
    holds: bool
    detail: str = ""
    remedy: str = ""


def examine(opened: OpenFile) -> list[Finding]:
    """Return what was found, check by check; nothing is changed."""
    with opened.unit.lock:
        return [_finding(opened, check, *how) for check, how in _CHECKS.items()]


def _finding(opened: OpenFile, check: str, look: Callable[[OpenFile], list[str]], remedy: str) -> Finding:
    try:
        wrong = look(opened)
    except (StorageError, sqlite3.Error) as error:
        is_truth = remedy == _SALVAGE
        detail = str(error) if is_truth else "cannot be looked at before what is said above is mended"
        return Finding(check, holds=False, detail=detail, remedy=_SALVAGE if is_truth else "")
    more = len(wrong) - _SHOWN_MAX
    shown = ", ".join(wrong[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    return Finding(check, not wrong, shown, remedy if wrong else "")


def repair(opened: OpenFile) -> None:
    """Make everything anew that follows from trunk and outbox; drop records of the trunk that cannot be read."""
    drop_damaged(opened)
    with opened.unit.transaction():
        rebuild(opened, opened.schema)


def drop_damaged(opened: OpenFile) -> list[Key]:
    """Drop the records of the trunk that are not what was written, so that the next sync fetches them."""
    with opened.unit.transaction():
        wrong = _damaged_rows(opened)
        if wrong:
            numbers = [(rowid,) for rowid in wrong]
            opened.connection.executemany("DELETE FROM rightfit_trunk WHERE rowid = ?", numbers)
            opened.core.resync()
            opened.store.put_views({key: opened.core.shown(key) for key in wrong.values()})
    return list(wrong.values())


def _damaged_rows(opened: OpenFile) -> dict[int, Key]:
    # A blob that has become a text could not even be fetched.
    sql = "SELECT rowid, kind, entity_id, iif(typeof(row) = 'blob', row, NULL), crc FROM rightfit_trunk"
    return {
        int(rowid): (str(kind), str(entity_id))
        for rowid, kind, entity_id, blob, crc in opened.connection.execute(sql)
        if not _is_genuine(blob, crc)
    }


def _is_genuine(blob: object, crc: object) -> bool:
    if not isinstance(blob, bytes) or crc32(blob) != crc:
        return False
    try:
        decode_row(blob)
    except msgspec.MsgspecError:
        return False
    return True


def _pages(opened: OpenFile) -> list[str]:
    said = [str(row[0]) for row in opened.connection.execute("PRAGMA integrity_check")]
    return [one for one in said if one != "ok"]


def _format(opened: OpenFile) -> list[str]:
    found = pragma(opened.connection, "user_version")
    return [] if found == FILE_FORMAT else [f"format {found}"]


def _truth(opened: OpenFile) -> list[str]:
    store = opened.store
    store.state()
    for read in (store.pending, store.acknowledged, store.rejected):
        list(read())
    return []


def _trunk(opened: OpenFile) -> list[str]:
    return [" ".join(key) for key in _damaged_rows(opened).values()]


def _counters(opened: OpenFile) -> list[str]:
    state = opened.store.state()
    dots = [entry.change.dot for entry in opened.store.pending()]
    return [str(dot) for dot in dots if dot.device_id == state.device_id and dot.counter > state.counter]


def _guards(opened: OpenFile) -> list[str]:
    sql = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    there = {str(row[0]) for row in opened.connection.execute(sql)}
    return [name for table in opened.tables.values() for name, _ in table.triggers() if name not in there]


def _views(opened: OpenFile) -> list[str]:
    wrong: list[str] = []
    for kind, table in opened.tables.items():
        names = ", ".join(quoted(name) for name in table.types)
        rows = opened.connection.execute(f"SELECT {names} FROM {quoted(kind)}")  # noqa: S608 - quoted.
        wrong += _differing({str(row[0]): list(row) for row in rows}, dict(_expected(opened, kind)))
    return wrong


def _expected(opened: OpenFile, kind: str) -> Iterator[tuple[str, list[object]]]:
    table = opened.tables[kind]
    for key in opened.store.entity_keys():
        entity = opened.core.shown(key).entity if key[0] == kind else None
        if entity is not None and not is_deleted(entity, table.kind):
            yield key[1], list(table.row(entity))


def _differing(found: dict[str, list[object]], expected: dict[str, list[object]]) -> list[str]:
    return sorted(one for one in {*found, *expected} if found.get(one) != expected.get(one))


def _conflicts(opened: OpenFile) -> list[str]:
    listed = {one.conflict_id for one in opened.store.conflicts()}
    keys = opened.store.entity_keys()
    trunks = opened.store.trunks(keys)
    views = opened.store.views
    computed = {
        one.conflict_id for key in keys for one in views.conflicts(opened.core.shown(key), trunks.get(key))
    }
    return sorted(listed ^ computed)


_CHECKS: dict[str, tuple[Callable[[OpenFile], list[str]], str]] = {
    "the file is intact": (_pages, _SALVAGE),
    "the format is known": (_format, "open it once for writing"),
    "outbox and rejected list can be read": (_truth, _SALVAGE),
    "the trunk can be read": (_trunk, f"{_REPAIR} drops these records, the next sync fetches them"),
    "no counter is ahead of the device's": (_counters, _SALVAGE),
    "view tables are guarded": (_guards, f"{_REPAIR} puts the triggers back"),
    "view tables show trunk and outbox": (_views, f"{_REPAIR} makes them anew"),
    "open conflicts are listed": (_conflicts, f"{_REPAIR} lists them anew"),
}
