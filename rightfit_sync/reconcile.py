"""Finding out where a replica's trunk and the authority differ, and mending it, without I/O.

A `Reconciliation` is a generator that yields a `ReconcileRequest` and is sent the `ReconcileResponse` to it:

1. sums of buckets are compared, and those that differ narrowed, until rows can be listed (see `digests`);
2. rows that differ are fetched; where the replica's own copy holds a dot that the authority's does not, that copy is
   offered, and the authority joins it with what it has, if its seal is genuine;
3. the replica takes every one of them as the authority has it now, and forgets what is gone or out of its sight.

Neither side ever adopts the other's digest. Every step is a transaction of its own; broken off, it begins again from
the start and finds less to do. Source: docs/explanation/semantics.md, section 8.
"""

from bisect import bisect_left
from collections.abc import Collection, Generator, Iterable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec

from rightfit_sync.causality.version_vector import dominates
from rightfit_sync.digests import PLACE_DIGITS, bucket, digest_of, place
from rightfit_sync.feed import Row
from rightfit_sync.limits import (
    BUCKETS_PER_REQUEST_MAX,
    KEYS_PER_REQUEST_MAX,
    LISTED_ROWS_MAX,
    LISTINGS_PER_REQUEST_MAX,
    OFFERS_PER_REQUEST_MAX,
    PROTOCOL_VERSION,
)
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.store import Key
from rightfit_sync.wire.messages import Offer, ReconcileRequest, ReconcileResponse

Steps: TypeAlias = Generator[ReconcileRequest, ReconcileResponse, "Reconciled"]

Comparison: TypeAlias = Generator[ReconcileRequest, ReconcileResponse, "list[Differing]"]

_HEXADECIMAL = "0123456789abcdef"
_BEYOND = "g"
"""Sorts after every hexadecimal digit."""
_T = TypeVar("_T")


class Reconciled(msgspec.Struct, frozen=True):
    """What a reconciliation came to: rows that differed, rows that the authority was offered, rows forgotten.

    `refused` are those that it did not take back, and that were left as they are.
    """

    differing: int = 0
    offered: int = 0
    forgotten: int = 0
    refused: Sequence[Key] = ()


class Differing(NamedTuple):
    """A row that is not the same on the two sides (None: there is none)."""

    key: Key
    ours: Row | None
    theirs: Row | None


class Reconciliation:
    """One run over all of a replica's trunk.

    A row that the authority refuses, because its seal is not genuine, was damaged or forged, or the authority has lost
    its keys. It is left as it is, until somebody looks at it: `is_repair` says that somebody does, and that such rows
    are to be replaced by what the authority has. `rows_max` rows are asked for, or offered, at once.
    """

    def __init__(
        self, core: ReplicaCore, *, is_repair: bool = False, rows_max: int = KEYS_PER_REQUEST_MAX
    ) -> None:
        self._core = core
        self._is_repair = is_repair
        self._rows_max = min(rows_max, KEYS_PER_REQUEST_MAX)
        self._latest: ReconcileResponse | None = None
        self._tags: Sequence[str] = ()
        self._offered = self._forgotten = 0
        self._refused: set[Key] = set()

    def steps(self) -> Steps:
        """Reconcile."""
        ours = self._our_rows()
        listings = yield from self._narrowed(ours)
        differing = yield from self._differing(ours, listings)
        for keys in _chunks(sorted(differing), self._rows_max):
            yield from self._mend(keys)
        if self._latest is not None:
            self._core.end_reconciling(self._latest.cursor, self._tags)
        return Reconciled(len(differing), self._offered, self._forgotten, sorted(self._refused))

    def compare(self) -> "Comparison":
        """Find out what differs, and change nothing; raises `RemoteError` (`epoch_changed`)."""
        ours = self._our_rows()
        listings = yield from self._narrowed(ours)
        differing = yield from self._differing(ours, listings)
        found: list[Differing] = []
        for keys in _chunks(sorted(differing), self._rows_max):
            theirs = _by_key((yield from self._ask(keys=keys)).rows)
            held = self._core.store.trunks(keys)
            found += [Differing(key, held.get(key), theirs.get(key)) for key in keys]
        return found

    def _our_rows(self) -> "_Rows":
        found: list[_Placed] = []
        with self._core.store.reading():
            keys = [key for key, _ in self._core.store.trunk_tags()]
            for chunk in _chunks(keys, KEYS_PER_REQUEST_MAX):
                rows = self._core.store.trunks(chunk)
                found += [_Placed(place(*key), key, digest_of(row)) for key, row in rows.items()]
        return _Rows(found)

    def _narrowed(self, rows: "_Rows") -> Generator[ReconcileRequest, ReconcileResponse, list[str]]:
        """Return the prefixes whose rows must be listed: small enough, and different on the two sides."""
        listings: list[str] = []
        prefixes = [""]
        while prefixes:
            asked, prefixes = prefixes[:BUCKETS_PER_REQUEST_MAX], prefixes[BUCKETS_PER_REQUEST_MAX:]
            response = yield from self._ask(prefixes=asked)
            for theirs in response.buckets:
                ours = bucket(theirs.prefix, rows.under(theirs.prefix).values())
                if ours == theirs:
                    continue
                if max(ours.count, theirs.count) <= LISTED_ROWS_MAX or len(theirs.prefix) >= PLACE_DIGITS:
                    listings.append(theirs.prefix)
                else:
                    prefixes += [theirs.prefix + digit for digit in _HEXADECIMAL]
        return listings

    def _differing(
        self, rows: "_Rows", listings: Sequence[str]
    ) -> Generator[ReconcileRequest, ReconcileResponse, set[Key]]:
        differing: set[Key] = set()
        for prefixes in _chunks(listings, LISTINGS_PER_REQUEST_MAX):
            response = yield from self._ask(listings=prefixes)
            theirs = {(one.kind, one.entity_id): one.digest for one in response.listed}
            ours = {key: digest for prefix in prefixes for key, digest in rows.under(prefix).items()}
            differing |= {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
        return differing

    def _mend(self, keys: Sequence[Key]) -> Generator[ReconcileRequest, ReconcileResponse, None]:
        theirs = _by_key((yield from self._ask(keys=keys)).rows)
        ours = self._core.store.trunks(keys)
        is_other_past = self._core.store.state().cursor is None
        lacking = [
            row for key, row in ours.items() if _has_more(row, theirs.get(key), is_other_past=is_other_past)
        ]
        for rows in _chunks(lacking, min(self._rows_max, OFFERS_PER_REQUEST_MAX)):
            offers = [Offer(row.entity, row.seal) for row in rows]
            response = yield from self._ask(offers=offers)
            if not self._is_repair:
                self._refused |= {(one.kind, one.entity_id) for one in response.refused}
            self._offered += len(offers)
            for row in rows:
                # What was offered may have taken the row out of the subject's sight: then it is gone, not as it was.
                theirs.pop((row.entity.kind, row.entity.entity_id), None)
            theirs.update(_by_key(response.rows))
        gone = [key for key in ours if key not in theirs and key not in self._refused]
        self._forgotten += len(gone)
        self._core.take_rows([row for key, row in theirs.items() if key not in self._refused], gone)

    def _ask(
        self,
        prefixes: Sequence[str] = (),
        listings: Sequence[str] = (),
        keys: Sequence[Key] = (),
        offers: Sequence[Offer] = (),
    ) -> Generator[ReconcileRequest, ReconcileResponse, ReconcileResponse]:
        state = self._core.store.state()
        response = yield ReconcileRequest(
            protocol_version=PROTOCOL_VERSION,
            schema_version=self._core.schema.schema_version,
            device_id=state.device_id,
            cursor=state.cursor if self._latest is None else self._latest.cursor,
            goes_on=self._latest is not None,
            prefixes=prefixes,
            listings=listings,
            keys=keys,
            offers=offers,
        )
        if self._latest is None:
            self._core.take_authority(response.kinds, response.epoch)
        # Rows may have come through a tag that was held for a moment only: the next page says what to evict.
        self._tags = sorted({*self._tags, *response.tags})
        self._latest = response
        return response


def _has_more(ours: Row, theirs: Row | None, *, is_other_past: bool) -> bool:
    """Whether our copy holds a dot that theirs does not know, or may not.

    In another past a version vector may cover what came to nothing there, so what we show and they do not is offered.
    """
    if theirs is None or not dominates(theirs.entity.version_vector, ours.entity.version_vector):
        return True
    return is_other_past and not ours.entity.shown_dots <= theirs.entity.shown_dots


class _Placed(NamedTuple):
    """Where one of our rows stands, and what it says."""

    place: str
    key: Key
    digest: str


class _Rows:
    """Our rows in the order of their places."""

    def __init__(self, rows: Iterable[_Placed]) -> None:
        self._rows = sorted(rows)
        self._places = [row.place for row in self._rows]

    def under(self, prefix: str) -> dict[Key, str]:
        """Return `{key: digest}` of the rows whose place begins with `prefix`."""
        start = bisect_left(self._places, prefix)
        end = bisect_left(self._places, prefix + _BEYOND)
        return {row.key: row.digest for row in self._rows[start:end]}


def _by_key(rows: Iterable[Row]) -> dict[Key, Row]:
    return {(row.entity.kind, row.entity.entity_id): row for row in rows}


def _chunks(items: Collection[_T], size: int) -> Iterable[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
