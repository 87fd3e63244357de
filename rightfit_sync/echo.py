"""Echo suppression: a device is not sent back what it has just written.

Of a row that a push alone has moved on from what the device holds, a page says its number, and nothing of its state
(`feed.Own`): the device applies what it pushed to its own copy, as the authority did. One digest over the states of all
those rows tells whether both came to the same. Where they did not (a copy that had gone wrong, another release), the
device takes the receipts, and asks for that page again in full.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Protocol

from msgspec.structs import replace

from rightfit_sync.apply import apply, plain_values
from rightfit_sync.feed import Own, Page, Row
from rightfit_sync.ingest.snapshot import Key, Pushed, Receipt, Recorded
from rightfit_sync.packing import ReadRow, Rows, row_of, state_of
from rightfit_sync.records import APPLIED, Change, Entity
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import State, parts_of, settled_by

DIGEST_BYTES = 16


def own_changes(push: Sequence[Pushed], recorded: Iterable[Recorded]) -> dict[Key, int]:
    """Return the entities that `push` alone has changed, as it said, each with the place of its last change there.

    `recorded` is all that was decided. What the authority applied otherwise than it came (an earlier clock, another
    name for what it builds on), or did itself in consequence, the device cannot know.
    """
    places = {id(pushed.change): place for place, pushed in enumerate(push)}
    found: dict[Key, int] = {}
    others: set[Key] = set()
    for one in recorded:
        if one.outcome.status in APPLIED:
            key = (one.change.kind, one.change.entity_id)
            place = places.get(id(one.change))
            if place is None:
                others.add(key)
            else:
                found[key] = place
    return {key: place for key, place in found.items() if key not in others} if others else found


class Told(Protocol):
    """What an authority has to tell of a row besides its state."""

    @property
    def orphans(self) -> Sequence[str]:
        """The paths of its references whose target is gone."""

    @property
    def suggestions(self) -> Mapping[str, str]:
        """Merged texts to offer, by path in conflict."""


def says_more(row: Told) -> bool:
    """Whether a row says what no device can work out: who else has gone, what the authority would merge."""
    return bool(row.orphans or row.suggestions)


def digest_of(states: Iterable[bytes]) -> bytes:
    """Return the digest over the states of a page's own rows, in their order."""
    whole = blake2b(digest_size=DIGEST_BYTES)
    for state in states:
        whole.update(state)
    return whole.digest()


def left_out(
    page: Page, push: Sequence[Pushed], recorded: Iterable[Recorded], may_know: Callable[[Key], bool]
) -> Page:
    """Return `page` without the states that the device works out itself from its `push`, of which `recorded` came.

    `may_know` tells whether the device holds the row as it was before the push (or there was none).
    """
    places = {key: place for key, place in own_changes(push, recorded).items() if may_know(key)}
    rows: list[Row] = []
    mine: list[tuple[Row, int]] = []
    for row in page.rows:
        place = places.get((row.entity.kind, row.entity.entity_id))
        if place is None or says_more(row):
            rows.append(row)
        else:
            mine.append((row, place))
    if not mine:
        return page
    own = [Own(row.seq, place, row.tags, row.seal) for row, place in mine]
    return replace(page, rows=rows, own=own, own_digest=digest_of(state_of(row) for row, _ in mine))


def completed(
    page: Page,
    push: Sequence[Change],
    receipts: Iterable[Receipt],
    trunks: Mapping[Key, Row],
    schema: Schema,
) -> Page | None:
    """Return `page` with the rows that it leaves to the device; None where they are not what the authority has.

    `push` are the changes that it answers, `receipts` what became of them, `trunks` the copies that the device holds.
    """
    accepted = {receipt.dot for receipt in receipts if receipt.outcome.status in APPLIED}
    changes: dict[Key, list[Change]] = {}
    for change in push:
        if change.dot in accepted:
            changes.setdefault((change.kind, change.entity_id), []).append(change)
    rows: list[ReadRow] = []
    for own in page.own:
        if not 0 <= own.place < len(push):
            return None
        key = (push[own.place].kind, push[own.place].entity_id)
        held = trunks.get(key)
        state = _moved_on(None if held is None else held.entity, changes.get(key, ()), schema)
        if state is None:
            return None
        rows.append(row_of(own.seq, key[1], state, own.tags, own.seal))
    if digest_of(row.state for row in rows) != page.own_digest:
        return None
    return replace(page, rows=_together(page.rows, rows), own=(), own_digest=b"")


def _together(rows: Sequence[Row], own: Iterable[ReadRow]) -> Sequence[Row]:
    """Return both in the order of the feed, as they came in the page."""
    if isinstance(rows, Rows):
        return Rows(sorted([*rows.read, *own], key=attrgetter("seq")))
    return sorted([*rows, *(row.whole() for row in own)], key=attrgetter("seq"))


def _moved_on(entity: Entity | None, changes: Sequence[Change], schema: Schema) -> State | None:
    """Return the state of `entity` after `changes`."""
    if entity is None and len(changes) == 1:
        (change,) = changes
        values = plain_values(change)
        if values is not None:
            return settled_by(change, values)
    for change in changes:
        entity = apply(entity, change, schema)[0]
    return None if entity is None else parts_of(entity)
