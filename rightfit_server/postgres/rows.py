"""Between rows of tables and the data of the ports: encodings, and keys as arrays for set-based queries."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import cast

import msgspec
from psycopg import sql

from rightfit_server.ingest.shape import NAME_LENGTH_MAX, is_storable_name
from rightfit_server.ports.storage import StoredEntity
from rightfit_server.postgres.bulk import Binary, array
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.records import Change
from rightfit_sync.state import entity_of, id_of, read_state, undisputed

STORED_COLUMNS = sql.SQL(
    "e.state, e.seq, e.own_tags, e.neighbour_tags, e.lost_tags::text, e.orphans, e.suggestions::text,"
    " e.deleted_at IS NOT NULL, e.digest"
)
"""What `stored_entity` reads, of `app.entities e`."""

STORED_COLUMNS_COUNT = 9

_decode_many_numbers = msgspec.json.Decoder(dict[str, int]).decode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode


def stored_entity(row: tuple[object, ...]) -> StoredEntity:
    """Return the entity of a row of `STORED_COLUMNS`."""
    state, seq, own, neighbours, lost, orphans, suggestions, is_deleted, digest = row
    assert isinstance(state, bytes) and isinstance(seq, int)  # noqa: S101, PT018 - what the columns are.
    read = read_state(state)
    return StoredEntity(
        entity=entity_of(read, id_of(read)),
        undisputed=undisputed(read),
        seq=seq,
        digest=str(digest),
        own_tags=_texts(own),
        neighbour_tags=_texts(neighbours),
        lost_tags=_decode_numbers(str(lost)),
        orphans=_texts(orphans),
        suggestions=decode_texts(str(suggestions)),
        is_deleted=bool(is_deleted),
    )


def _texts(value: object) -> Sequence[str]:
    # A column of texts without nulls.
    return cast("Sequence[str]", value)


def decode_texts(text: str) -> dict[str, str]:
    """Return the map of texts in a JSON column."""
    return {} if text == "{}" else _decode_texts(text)


def _decode_numbers(text: str) -> dict[str, int]:
    return {} if text == "{}" else _decode_many_numbers(text)


encode_json: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""Return a value as JSON."""


def encode_change(change: Change) -> bytes:
    r"""Return the JSON of any change, also of one with half a character (as `\ud800`)."""
    try:
        return encode_json(change)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(change)).encode()


def columns(keys: Collection[Key]) -> tuple[Binary, Binary]:
    """Return keys as two arrays, for `unnest`."""
    return array("text", [key[0] for key in keys]), array("text", [key[1] for key in keys])


def as_name(text: str) -> str:
    """Return `text` as a key column can hold it: what it cannot is replaced, and the end cut off."""
    if is_storable_name(text):
        return text
    storable = text.replace("\x00", "\ufffd").encode(errors="replace").decode()
    return storable[:NAME_LENGTH_MAX]
