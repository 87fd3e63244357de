"""Opening the file: which SQLite, which settings, whose file.

One connection does all of a replica's work, with `synchronous=FULL`: an edit is durable when the call
returns. The write-ahead log lets other connections (Datasette, an application's reports) read meanwhile.
SQLite before 3.51.3 can corrupt a write-ahead log when two connections checkpoint, and is refused (fault
F04).

`PRAGMA application_id` says that a file is a replica, `PRAGMA user_version` in which format; a newer format
is refused, an older one is brought up to date by `layout.renew`.
"""

from collections.abc import Sequence
from pathlib import Path

from rightfit_client.errors import OpenError, StorageError
from rightfit_client.limits import BUSY_SECONDS
from rightfit_client.sqlite import sqlite3

APPLICATION_ID = 0x52464954
"""`RFIT`."""

FILE_FORMAT = 4
"""The newest file format that this program reads and writes."""

SALVAGING = "-salvaging"
"""What a salvage leaves beside the file until it is done."""

SQLITE_OLDEST = (3, 51, 3)

_STATEMENTS_CACHED = 512
_CODES = {
    "full": "disk_full",
    "i/o": "io_error",
    "malformed": "corrupt",
    "not a database": "corrupt",
    "locked": "busy",
    "readonly": "read_only",
    "unable to open": "io_error",
    "constraint": "constraint",
    "no such": "corrupt",
    "could not decode": "corrupt",
    "file format": "corrupt",
}
_SALVAGE = "close it and run `rightfit replica salvage`, or call Replica.salvage"
_FORMAT_EVER = 1_000
"""No program will ever write a format beyond this."""


def check_sqlite(library_version: Sequence[int] = sqlite3.sqlite_version_info) -> None:
    """Raise `OpenError("sqlite_too_old")` where SQLite is older than 3.51.3."""
    if tuple(library_version) < SQLITE_OLDEST:
        found, oldest = (".".join(map(str, one)) for one in (library_version, SQLITE_OLDEST))
        message = f"SQLite {found} can corrupt a write-ahead log: pip install pysqlite3 for {oldest} or newer"
        raise OpenError("sqlite_too_old", message)


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return the connection to `path`, its format checked (a new file has none yet).

    Raises `OpenError` (`missing`, `not_a_replica`, `newer_format`) and `StorageError`.
    """
    check_sqlite()
    if read_only and not path.exists():
        raise OpenError("missing", f"there is no replica at {path}: make one first")
    if path.with_name(path.name + SALVAGING).exists():
        raise damaged("its salvage was cut off, and must be run again")
    connection: sqlite3.Connection = sqlite3.connect(
        str(path), isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS_CACHED
    )
    try:
        _check_format(connection, path)
        _configure(connection, read_only=read_only)
    except sqlite3.Error as error:
        connection.close()
        raise storage_error(error) from error
    except (OpenError, StorageError):
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    application_id = pragma(connection, "application_id")
    file_format = pragma(connection, "user_version")
    if application_id == APPLICATION_ID and not 0 < file_format <= _FORMAT_EVER:
        raise damaged("the file's header")
    if application_id == APPLICATION_ID and file_format > FILE_FORMAT:
        message = f"{path} has format {file_format}, this program reads up to {FILE_FORMAT}: upgrade it"
        raise OpenError("newer_format", message)
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
    if application_id != APPLICATION_ID and "rightfit_state" not in tables and (application_id or tables):
        raise OpenError("not_a_replica", f"{path} is another program's database: choose another path")


def _configure(connection: sqlite3.Connection, *, read_only: bool) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # An application's own tables may refer to view tables; the guard triggers need no recursion.
    connection.execute("PRAGMA recursive_triggers = OFF")
    # The guard triggers ask a function of ours, which some builds of SQLite would not let them.
    connection.execute("PRAGMA trusted_schema = ON")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return the number that a pragma answers."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def damaged(what: str) -> StorageError:
    """Return the error that says that something in the file is not what was written."""
    return StorageError("corrupt", f"the replica's file is damaged ({what}): {_SALVAGE}")


def storage_error(error: sqlite3.Error) -> StorageError:
    """Return what went wrong with the file, in our words."""
    said = str(error)
    code = next((code for word, code in _CODES.items() if word in said.lower()), "io_error")
    remedy = {
        "disk_full": "make room and try again",
        "busy": "another program holds the file: let it finish",
        "corrupt": _SALVAGE,
        "constraint": "drop the UNIQUE index or trigger that refuses what others wrote",
    }.get(code, "look at the disk")
    return StorageError(code, f"nothing was kept, the file could not be used ({said}): {remedy}")
