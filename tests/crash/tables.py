"""What a replica file holds, as one digest: the measure of "whole or not at all"."""

from hashlib import blake2b
from typing import Final

from rightfit_client.sqlite import sqlite3

EMPTY: Final = "empty"
"""The digest of a file without a replica in it."""

_DECLARED = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"


def state_of(connection: sqlite3.Connection) -> str:
    """Return the digest of every table, index and trigger, with all rows."""
    declared = connection.execute(_DECLARED).fetchall()
    if not declared:
        return EMPTY
    digest = blake2b(repr(declared).encode(), digest_size=12)
    for pragma in ("application_id", "user_version"):
        digest.update(repr(connection.execute(f"PRAGMA {pragma}").fetchone()).encode())
    for kind, name, _ in declared:
        if kind == "table":
            digest.update(repr(connection.execute(f'SELECT * FROM "{name}"').fetchall()).encode())
    return digest.hexdigest()
