"""The messages between a device and the authority.

One exchange does everything: `SyncRequest` carries changes up, `SyncResponse` receipts and a page of the feed down.
Either half may be left out. Where a replica and the authority no longer share a past (one of them was restored from a
backup, or tombstones are gone), `ReconcileRequest` and `ReconcileResponse` find what differs and mend it. Unknown keys
are ignored, so that a newer peer may say more. Message shapes may only grow within one `protocol_version`; a test holds
a hash of them.
"""

from collections.abc import Sequence

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.digests import Bucket, Listed
from rightfit_sync.feed import Page, Row
from rightfit_sync.ingest.snapshot import Pushed, Receipt
from rightfit_sync.records import Entity


class SyncRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device sends.

    `device_id` is the id under which the replica writes now, if that is another than its token's; a new one is entered
    as the token's successor. `cursor` is where its next page begins (absent: at the beginning); `rows_max` bounds the
    page, and 0 asks for a page without rows; `schema_version` is the device's. `takes_own` says that rows may be left
    to the device which its own changes alone have moved on (see `echo`).
    """

    protocol_version: int
    schema_version: int
    changes: Sequence[Pushed] = ()
    cursor: str | None = None
    rows_max: int = 1000
    device_id: str = ""
    takes_own: bool = False


class Deferred(msgspec.Struct, frozen=True):
    """A change that stays pending, without a receipt, and why (`schema_ahead`: its kind is not known here yet)."""

    dot: Dot
    code: str


class SyncResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the authority answers.

    `kinds` are those its schema has, so that a device knows what to hold back; `receipts` come in the order of
    the changes; `page` is absent where none was asked for.
    """

    protocol_version: int
    schema_version: int
    epoch: str
    kinds: Sequence[str]
    receipts: Sequence[Receipt] = ()
    deferred: Sequence[Deferred] = ()
    page: Page | None = None


class Offer(msgspec.Struct, frozen=True):
    """A state that the authority once had, with the seal that it had given with it."""

    entity: Entity
    seal: bytes


class Refused(msgspec.Struct, frozen=True):
    """An offer that was not taken in, and why (`seal_invalid`, `schema_ahead`)."""

    kind: str
    entity_id: str
    code: str


class ReconcileRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a replica asks, to find out where its copy differs: any of the four lists may be empty.

    `prefixes` asks for the sums of these buckets, `listings` for the rows of these (see `digests`), `keys`
    (`[kind, entity_id]`) for rows, and `offers` are states that the authority may lack. `cursor` is the newest that the
    replica has of the past that it shares with the authority, if there is one; `goes_on` says that it is from the
    former answer of this reconciliation.
    """

    protocol_version: int
    schema_version: int
    device_id: str = ""
    cursor: str | None = None
    goes_on: bool = False
    prefixes: Sequence[str] = ()
    listings: Sequence[str] = ()
    keys: Sequence[tuple[str, str]] = ()
    offers: Sequence[Offer] = ()


class ReconcileResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the authority answers, all of one moment, and only of what the subject may see.

    `cursor` is the place in the feed from which pages tell what changed later: that of the first answer of the
    reconciliation, with proof of how far the authority had come at this one. `rows` are those of the keys and offers
    that are there, each offer joined in; an offer that is missing in both lists is gone for good.
    """

    protocol_version: int
    epoch: str
    kinds: Sequence[str]
    cursor: str
    tags: Sequence[str]
    buckets: Sequence[Bucket] = ()
    listed: Sequence[Listed] = ()
    rows: Sequence[Row] = ()
    refused: Sequence[Refused] = ()


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document.

    `code` is a stable word, `field` and `value` what is wrong, `remedy` the way out; `expected` the
    counter that a `counter_gap` should have had.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    field: str = ""
    value: str = ""
    remedy: str = ""
    expected: int | None = None
