"""A look at the health of a replica file: what must hold, whether it does, and what can be made anew.

The trunk and the outbox are the truth; whatever follows from them (view tables, conflicts, guards) can be
rebuilt. Damage to the truth itself is reported, never papered over.
"""

from collections.abc import Callable, Iterator

import msgspec

from rightfit_client.connection import FILE_FORMAT, pragma
from rightfit_client.opening import OpenFile, rebuild
from rightfit_client.query import quoted
from rightfit_client.sqlite import sqlite3
from rightfit_sync.life import is_deleted

_SHOWN_MAX = 3


class Finding(msgspec.Struct, frozen=True):
    """One check. `remedy` says what to do where it does not hold."""

    check: str
    holds: bool
    detail: str = ""
    remedy: str = ""


def examine(opened: OpenFile) -> list[Finding]:
    """Return what was found, check by check; nothing is changed."""
    with opened.unit.lock:
        return [check(opened) for check in (_pages, _format, _truth, _counters, _guards, _views, _conflicts)]


def repair(opened: OpenFile) -> None:
    """Make everything anew that follows from trunk and outbox."""
    with opened.unit.transaction():
        rebuild(opened, opened.schema)


def _finding(check: str, wrong: list[str], remedy: str) -> Finding:
    shown = ", ".join(wrong[:_SHOWN_MAX]) + (
        f" and {len(wrong) - _SHOWN_MAX} more" if len(wrong) > _SHOWN_MAX else ""
    )
    return Finding(check, not wrong, shown, remedy if wrong else "")


def _pages(opened: OpenFile) -> Finding:
    said = [str(row[0]) for row in opened.connection.execute("PRAGMA integrity_check")]
    return _finding(
        "the file is intact", [one for one in said if one != "ok"], "put the file aside and resync"
    )


def _format(opened: OpenFile) -> Finding:
    found = pragma(opened.connection, "user_version")
    detail = f"format {found}, SQLite {sqlite3.sqlite_version}, schema {opened.schema.schema_version}"
    return Finding("the format is known", found <= FILE_FORMAT, detail)


def _truth(opened: OpenFile) -> Finding:
    wrong: list[str] = []
    for what, read in _READ.items():
        try:
            read(opened)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            wrong.append(f"{what}: {error}")
    return _finding("trunk and outbox can be read", wrong, "put the file aside and resync")


_READ: dict[str, Callable[[OpenFile], object]] = {
    "trunk": lambda opened: opened.store.trunks(opened.store.entity_keys()),
    "outbox": lambda opened: [*opened.store.pending(), *opened.store.acknowledged()],
    "rejected": lambda opened: opened.store.rejected(),
}


def _counters(opened: OpenFile) -> Finding:
    state = opened.store.state()
    dots = [entry.change.dot for entry in opened.store.pending()]
    beyond = [str(dot) for dot in dots if dot.device_id == state.device_id and dot.counter > state.counter]
    return _finding(
        "no counter is ahead of the device's", beyond, "do not sync: restore the file from a backup"
    )


def _guards(opened: OpenFile) -> Finding:
    sql = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    there = {str(row[0]) for row in opened.connection.execute(sql)}
    missing = [name for table in opened.tables.values() for name, _ in table.triggers() if name not in there]
    return _finding("view tables are guarded", missing, "doctor --repair puts the triggers back")


def _views(opened: OpenFile) -> Finding:
    wrong = []
    for kind, table in opened.tables.items():
        names = ", ".join(quoted(name) for name in table.types)
        rows = opened.connection.execute(f"SELECT {names} FROM {quoted(kind)}")  # noqa: S608 - quoted.
        wrong += _differing({str(row[0]): list(row) for row in rows}, dict(_expected(opened, kind)))
    return _finding("view tables show trunk and outbox", wrong, "doctor --repair makes them anew")


def _expected(opened: OpenFile, kind: str) -> Iterator[tuple[str, list[object]]]:
    table = opened.tables[kind]
    for key in opened.store.entity_keys():
        entity = opened.core.shown(key).entity if key[0] == kind else None
        if entity is not None and not is_deleted(entity, table.kind):
            yield key[1], list(table.row(entity))


def _differing(found: dict[str, list[object]], expected: dict[str, list[object]]) -> list[str]:
    return sorted(one for one in {*found, *expected} if found.get(one) != expected.get(one))


def _conflicts(opened: OpenFile) -> Finding:
    listed = {one.conflict_id for one in opened.store.conflicts()}
    keys = opened.store.entity_keys()
    trunks = opened.store.trunks(keys)
    views = opened.store.views
    computed = {
        one.conflict_id for key in keys for one in views.conflicts(opened.core.shown(key), trunks.get(key))
    }
    return _finding("open conflicts are listed", sorted(listed ^ computed), "doctor --repair lists them anew")
