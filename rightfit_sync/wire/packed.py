"""Answers as they travel in MessagePack: their rows packed (see `packing`), all else as in JSON.

Each packed message has the fields of the one that it stands for, so that nothing but rows differs between the two.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import asdict

from rightfit_sync.digests import Bucket, Listed
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.packing import PackedPage, PackedRow, packed_page, packed_rows, page_of, rows_of
from rightfit_sync.wire.messages import Deferred, ReconcileResponse, Refused, SyncResponse


class PackedSyncResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `messages.SyncResponse` with a packed page."""

    protocol_version: int
    schema_version: int
    epoch: str
    kinds: Sequence[str]
    receipts: Sequence[Receipt] = ()
    deferred: Sequence[Deferred] = ()
    page: PackedPage | None = None


class PackedReconcileResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `messages.ReconcileResponse` with packed rows."""

    protocol_version: int
    epoch: str
    kinds: Sequence[str]
    cursor: str
    tags: Sequence[str]
    buckets: Sequence[Bucket] = ()
    listed: Sequence[Listed] = ()
    rows: Sequence[PackedRow] = ()
    refused: Sequence[Refused] = ()


PACKED: Final[Mapping[type, type[msgspec.Struct]]] = {
    SyncResponse: PackedSyncResponse,
    ReconcileResponse: PackedReconcileResponse,
}
"""What travels in place of a message."""


def packed(message: msgspec.Struct) -> msgspec.Struct:
    """Return what travels in place of `message`, which may be that already."""
    if isinstance(message, SyncResponse):
        page = None if message.page is None else packed_page(message.page)
        return PackedSyncResponse(**(asdict(message) | {"page": page}))
    if isinstance(message, ReconcileResponse):
        rows = packed_rows(message.rows, message.tags)
        return PackedReconcileResponse(**(asdict(message) | {"rows": rows}))
    return message


def unpacked(message: msgspec.Struct) -> msgspec.Struct:
    """Return the message that `message` stands for, or itself; raises `msgspec.MsgspecError` where a row is none."""
    if isinstance(message, PackedSyncResponse):
        page = None if message.page is None else page_of(message.page)
        return SyncResponse(**(asdict(message) | {"page": page}))
    if isinstance(message, PackedReconcileResponse):
        rows = rows_of(message.rows, message.tags)
        return ReconcileResponse(**(asdict(message) | {"rows": rows}))
    return message
