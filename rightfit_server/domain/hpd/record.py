"""A record to be made: what an import wants to exist, and which line of which file says so."""

from collections.abc import Mapping
from hashlib import blake2b
from uuid import UUID

import msgspec

from rightfit_sync.values import Value


class Record(msgspec.Struct, frozen=True):
    """One entity with its values. `source` names the first line that it comes from, `file.csv:17`."""

    kind: str
    entity_id: str
    values: Mapping[str, Value]
    source: str


def entity_id(kind: str, *names: str) -> str:
    """Return the id of the record with these names in the register: the same in every import.

    It has the form of a UUIDv7 (whose time says nothing).
    """
    digest = blake2b("\x1f".join([kind, *names]).encode(), digest_size=16).digest()
    number = int.from_bytes(digest, "big") & ~(0xF << 76) & ~(0b11 << 62)
    return str(UUID(int=number | 0x7 << 76 | 0b10 << 62))


def filled(**values: Value) -> dict[str, Value]:
    """Return the values that are there."""
    return {name: value for name, value in values.items() if value not in (None, "", {}, [])}
