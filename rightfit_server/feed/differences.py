"""Telling a replica where its copy differs from what its subject may see here: sums, lists, rows, all of one moment.

The replica's half is `rightfit_sync.reconcile`. Limits: `BUCKETS_PER_REQUEST_MAX` and their like.
"""

import re
from collections.abc import Sequence

import msgspec

from rightfit_server.feed.cursors import Cursors
from rightfit_server.feed.lineage import Lineage
from rightfit_server.feed.pages import RowMaker
from rightfit_server.ports.storage import Identity, Storage
from rightfit_sync.digests import PLACE_DIGITS, Bucket, Listed
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.snapshot import Key
from rightfit_sync.limits import (
    BUCKETS_PER_REQUEST_MAX,
    KEYS_PER_REQUEST_MAX,
    LISTED_ROWS_MAX,
    LISTINGS_PER_REQUEST_MAX,
    OFFERS_PER_REQUEST_MAX,
)
from rightfit_sync.packing import PackedRow
from rightfit_sync.values import text_problem
from rightfit_sync.wire.cursor import Cursor
from rightfit_sync.wire.messages import ReconcileRequest

LISTED_PER_ANSWER_MAX = 4 * LISTINGS_PER_REQUEST_MAX * LISTED_ROWS_MAX
"""A replica asks for short lists; they may have grown since it was told so, but not to this."""

_PREFIX = re.compile(f"[0-9a-f]{{0,{PLACE_DIGITS}}}\\Z")


class Differences(msgspec.Struct, frozen=True):
    """What is here, for comparing; `cursor` is where the feed stood when this reconciliation began."""

    epoch: str
    cursor: str
    tags: Sequence[str]
    buckets: Sequence[Bucket]
    listed: Sequence[Listed]
    rows: Sequence[PackedRow]


def check_request(request: ReconcileRequest) -> None:
    """Refuse, as `RemoteError` (400, 413), what no replica asks."""
    for name, given, most in (
        ("prefixes", request.prefixes, BUCKETS_PER_REQUEST_MAX),
        ("listings", request.listings, LISTINGS_PER_REQUEST_MAX),
        ("keys", request.keys, KEYS_PER_REQUEST_MAX),
        ("offers", request.offers, OFFERS_PER_REQUEST_MAX),
    ):
        if len(given) > most:
            message = f"{len(given)} {name}, at most {most} in one request: ask for less at once"
            raise RemoteError("too_large", message, status=413, path=name)
    for name, prefixes in (("prefixes", request.prefixes), ("listings", request.listings)):
        for number, prefix in enumerate(prefixes):
            if not _PREFIX.match(prefix):
                message = f"{prefix[:40]!r} is no prefix: use up to {PLACE_DIGITS} hexadecimal digits"
                raise RemoteError("invalid_message", message, path=f"{name}[{number}]")


class Comparing:
    """Answers what replicas ask."""

    def __init__(self, storage: Storage, lineage: Lineage, cursors: Cursors, rows: RowMaker) -> None:
        self._storage = storage
        self._lineage = lineage
        self._cursors = cursors
        self._rows = rows

    async def compare(self, identity: Identity, request: ReconcileRequest) -> Differences:
        """Answer `request`, save for taking in its offers: their rows are told as they are now.

        Raises `RemoteError` as `Lineage.place` does, and 413 where the lists are longer than any replica asks for.
        """
        offered = [(one.entity.kind, one.entity.entity_id) for one in request.offers]
        keys = [key for key in dict.fromkeys([*request.keys, *offered]) if _is_text(key)]
        async with self._storage.comparing(identity.tenant_id) as transaction:
            viewer = await transaction.viewer(identity)
            here = await self._lineage.place(transaction, viewer, identity, request.cursor)
            tags, position = viewer.tags, viewer.position
            listings, prefixes = set(request.listings), set(request.prefixes)
            buckets = await transaction.buckets(prefixes, tags) if prefixes else []
            listed = await transaction.listed(listings, tags, LISTED_PER_ANSWER_MAX + 1) if listings else []
            found = await transaction.rows(keys, tags) if keys else []
        if len(listed) > LISTED_PER_ANSWER_MAX:
            message = f"more than {LISTED_PER_ANSWER_MAX} rows are listed there: use longer prefixes"
            raise RemoteError("too_large", message, status=413, path="listings")
        if request.cursor is None or not request.goes_on:
            names = (identity.tenant_id, identity.device_id, position.epoch)
            here = Cursor(*names, seq=position.head, chain=position.chain, tags_seq=position.head)
        sums = {bucket.prefix: bucket for bucket in buckets}
        return Differences(
            epoch=position.epoch,
            cursor=self._cursors.sign(here.heard_of(position.head, position.chain)),
            tags=sorted(tags),
            buckets=[sums[prefix] for prefix in request.prefixes],
            listed=listed,
            rows=self._rows.rows(found, tags, identity.tenant_id),
        )


def _is_text(key: Key) -> bool:
    """Whether a database could be asked for `key`: a record of a name that none can hold is not here."""
    return all(text_problem(name) is None for name in key)
