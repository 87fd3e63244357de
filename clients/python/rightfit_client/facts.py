"""The facts that a file keeps about itself: `rightfit_meta`, by name, and the one `ReplicaState`.

Each carries a checksum; `StorageError("corrupt")` is raised where what is read is not what was written.
"""

from collections.abc import Iterable
from zlib import crc32

import msgspec

from rightfit_client.connection import damaged
from rightfit_client.sqlite import sqlite3
from rightfit_sync.store import ReplicaState

_STATE = """SELECT device_id, subject, counter, former_ids, cursor, epoch, tags, authority_kinds, must_reconcile,
    crc FROM rightfit_state"""
_PUT_STATE = """INSERT INTO rightfit_state
    (id, device_id, subject, counter, former_ids, cursor, epoch, tags, authority_kinds, must_reconcile, crc)
    VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET device_id = excluded.device_id,
    subject = excluded.subject, counter = excluded.counter, former_ids = excluded.former_ids,
    cursor = excluded.cursor, epoch = excluded.epoch, tags = excluded.tags,
    authority_kinds = excluded.authority_kinds, must_reconcile = excluded.must_reconcile, crc = excluded.crc"""


def meta(connection: sqlite3.Connection, name: str) -> str | None:
    """Return a fact about the file, or None."""
    sql = "SELECT value, crc FROM rightfit_meta WHERE name = ?"
    found = connection.execute(sql, (name,)).fetchone()
    if found is None:
        return None
    value = str(found[0])
    if crc32(as_bytes(name + value)) != found[1]:
        raise damaged(f"the fact {name!r}")
    return value


def put_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember a fact about the file."""
    row = (name, value, crc32(as_bytes(name + value)))
    connection.execute("INSERT OR REPLACE INTO rightfit_meta (name, value, crc) VALUES (?, ?, ?)", row)


def forget_meta(connection: sqlite3.Connection, name: str) -> None:
    """Forget a fact about the file; one that it does not know is ignored."""
    connection.execute("DELETE FROM rightfit_meta WHERE name = ?", (name,))


def read_state(connection: sqlite3.Connection, *, is_sealed: bool = True) -> ReplicaState:
    """Return the replica's state; raise `StorageError("corrupt")` where it is not what was written."""
    found = connection.execute(_STATE).fetchone()
    if found is None:
        raise damaged("the replica's state is gone")
    try:
        kinds = found[7]
        read = ReplicaState(
            device_id=str(found[0]),
            subject=str(found[1]),
            counter=int(found[2]),
            former_ids=read_list(found[3]) or (),
            cursor=None if found[4] is None else str(found[4]),
            epoch=str(found[5]),
            tags=read_list(found[6]) or (),
            authority_kinds=None if kinds is None else read_list(kinds),
            must_reconcile=bool(found[8]),
        )
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise damaged(f"the replica's state ({error})") from error
    if is_sealed and sealed(read) != found[9]:
        raise damaged("the replica's state")
    return read


def put_state(connection: sqlite3.Connection, state: ReplicaState) -> None:
    """Replace the replica's state."""
    kinds = state.authority_kinds
    row = (
        *(
            state.device_id,
            state.subject,
            state.counter,
            as_json(state.former_ids),
            state.cursor,
            state.epoch,
        ),
        *(as_json(state.tags), None if kinds is None else as_json(kinds), state.must_reconcile),
        sealed(state),
    )
    connection.execute(_PUT_STATE, row)


def sealed(state: ReplicaState) -> int:
    """Return the checksum of what hardly ever changes in a state.

    A counter or a cursor that is not the one last written is found out by the authority, and heals.
    """
    kinds = None if state.authority_kinds is None else list(state.authority_kinds)
    lists = (list(state.former_ids), list(state.tags), kinds)
    return crc32(
        msgspec.msgpack.encode((state.device_id, state.subject, state.epoch, state.must_reconcile, lists))
    )


def as_json(values: Iterable[object]) -> str:
    """Return a list as it stands in a column."""
    return msgspec.json.encode(list(values)).decode()


def read_list(column: object) -> list[str]:
    """Return the list in a column."""
    return msgspec.json.decode(str(column), type=list[str])


def as_bytes(content: bytes | str) -> bytes:
    """Return what a checksum is made over."""
    return content if isinstance(content, bytes) else content.encode()
