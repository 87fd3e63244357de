"""Digests of rows, so that a replica and the authority find out where they differ without sending everything.

Every row has a place, 8 hexadecimal digits that follow from its key alone. All rows whose place begins with a prefix
make a bucket; its sum follows from the digests of its rows in any order. Buckets that differ are narrowed by longer
prefixes, down to lists of rows. What a subject may not see is in none of its buckets.

Source: docs/explanation/semantics.md, section 8 ("digest mismatch"); Merkle, 1987.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b, md5

import msgspec

from rightfit_sync.feed import Row
from rightfit_sync.records import Entity
from rightfit_sync.state import encode_state

PLACE_DIGITS = 8


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    """All rows whose place begins with `prefix`: how many, and their sum."""

    prefix: str
    count: int
    sum: str


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """One row of a bucket."""

    kind: str
    entity_id: str
    digest: str


def canonical_state(entity: Entity) -> bytes:
    """Return the one encoding of `entity` that digests and seals are made over: `state.encode_state`."""
    return encode_state(entity)


def place(kind: str, entity_id: str) -> str:
    """Return where a row stands among all rows: `PLACE_DIGITS` hexadecimal digits."""
    return blake2b(msgspec.json.encode((kind, entity_id)), digest_size=PLACE_DIGITS // 2).hexdigest()


def state_digest(entity: Entity, orphans: Sequence[str] = ()) -> str:
    """Return 32 hexadecimal digits that stand for an entity and which of its references are orphans."""
    return digest_of_state(canonical_state(entity), orphans)


def digest_of_state(state: bytes, orphans: Sequence[str] = ()) -> str:
    """Return the `state_digest` of the entity that `canonical_state` encoded as `state`."""
    said = msgspec.json.encode(sorted(orphans)) if orphans else b"[]"
    return blake2b(state + said, digest_size=16).hexdigest()


def row_digest(state: str, tags: Iterable[str]) -> str:
    """Return the digest of a row: its state's digest, and the tags through which the subject sees it."""
    return _md5("\x1f".join([state, *sorted(tags)]))


def digest_of(row: Row) -> str:
    """Return the digest of `row` as a replica holds it."""
    return row_digest(state_digest(row.entity, row.orphans), row.tags)


def bucket(prefix: str, digests: Iterable[str]) -> Bucket:
    """Return the bucket of rows with these digests."""
    known = sorted(digests)
    return Bucket(prefix, len(known), _md5("".join(known)))


def _md5(text: str) -> str:
    """Return the MD5 of `text`, since SQL has that too: it guards against accident, seals guard against malice."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()
