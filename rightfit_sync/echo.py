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

from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import apply, final_value, plain_values
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.causality.version_vector import advance, includes
from rightfit_sync.feed import Own, Page, Row
from rightfit_sync.ingest.snapshot import Key, Pushed, Receipt, Recorded
from rightfit_sync.merge.registry import rules_of
from rightfit_sync.packing import ReadRow, Rows, row_of, state_of
from rightfit_sync.records import APPLIED, Change
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import State, entity_of, parts_of, settled_by, settled_values, with_settled

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
    held: Mapping[Key, State],
    schema: Schema,
) -> Page | None:
    """Return `page` with the rows that it leaves to the device; None where they are not what the authority has.

    `push` are the changes that it answers, `receipts` what became of them, `held` the states that the device holds.
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
        state = _moved_on(held.get(key), changes.get(key, ()), schema)
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


def _moved_on(state: State | None, changes: Iterable[Change], schema: Schema) -> State | None:
    """Return the state that `changes`, which the authority has accepted, make of `state`."""
    for change in changes:
        state = plainly_moved_on(state, change, schema) or _applied(state, change, schema)
    return state


def _applied(state: State | None, change: Change, schema: Schema) -> State | None:
    entity, _ = apply(None if state is None else entity_of(state, change.entity_id), change, schema)
    return None if entity is None else parts_of(entity)


def plainly_moved_on(state: State | None, change: Change, schema: Schema) -> State | None:
    """Return what `apply` makes of `state` where `change` just puts its values there; None where it takes more.

    That is what a plain create does, and an edit of paths that had one value each: where that is replaced nothing is
    left of it, so that the new value stands alone (see `field`).
    """
    if state is None:
        values = plain_values(change)
        return None if values is None else settled_by(change, values)
    kind = schema.kinds.get(change.kind)
    if kind is None or change.op != "edit" or includes(state.version_vector, change.dot):
        return None
    if not (
        state.aliases is UNSET and state.absent is UNSET and change.was is UNSET and change.absent is UNSET
    ):
        return None
    known, settled, mine = rules_of(kind).known, settled_values(state), {}
    for path, patch in change.patches.items():
        policy = known.get(path)
        if policy is None or not policy.fast_forwards or "/" in path or path in state.fields:
            return None
        former = next((dot for dot, values in settled.items() if path in values), None)
        if former is not None:
            if former.dot not in patch.replaced:
                return None
            settled[former] = {one: value for one, value in settled[former].items() if one != path}
        mine[path] = final_value(patch)
    settled[WrittenDot(change.dot.device_id, change.dot.counter, change.written_at)] = mine
    return with_settled(state, advance(state.version_vector, change.dot), settled)
