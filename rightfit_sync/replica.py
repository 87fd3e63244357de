"""A replica's logic over any `Store`: write locally, plan a push, take in receipts and pages.

No I/O, no clock, no randomness: bytes, readings and ids are arguments. Every method is one store transaction; a crash
between two of them loses nothing, because each leaves a state from which the next sync goes on.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from msgspec.structs import replace

from rightfit_sync import changes
from rightfit_sync.apply import apply, final_value
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.changes import Stamp
from rightfit_sync.errors import LocalError
from rightfit_sync.feed import Page, Row
from rightfit_sync.identity import first_name, names_between, renamed
from rightfit_sync.ingest.snapshot import Pushed, Receipt
from rightfit_sync.limits import ABSENT_DOTS_MAX, CHANGE_BYTES_MAX
from rightfit_sync.outbox import (
    Entry,
    Fold,
    Shown,
    go_on,
    on_top,
    plan_push,
    run_starts,
    view_of,
)
from rightfit_sync.records import (
    RECEIPT_LOST,
    Alias,
    Change,
    Entity,
    Outcome,
    digest,
    digest_of_form,
    encoded,
    rejected,
)
from rightfit_sync.schema.spec import Schema
from rightfit_sync.state import State, parts_of
from rightfit_sync.store import Key, Rejected, Store
from rightfit_sync.views import Views

Author = Callable[[Shown, Stamp], Change | None]
"""Make the change, from what is shown and the stamp to put on it (see `changes`); None where nothing is to do."""


class _Written(NamedTuple):
    """Where the latest write left the view of its entity, so that whoever types on does not fold it all again."""

    schema: Schema
    trunk: Entity | None
    entries: list[Entry]
    lost: frozenset[Dot]
    folded: Fold


class ReplicaCore:
    """One replica: `store` keeps it, `schema` says how it merges, `fresh_id` makes device ids that nobody else has."""

    def __init__(self, store: Store, schema: Schema, fresh_id: Callable[[], str]) -> None:
        self.store = store
        self.schema = schema
        self._fresh_id = fresh_id
        self._latest: _Written | None = None
        self._views = Views(store)

    def refreshing_once(self) -> AbstractContextManager[None]:
        """Bring views up to date once, when the block ends, whatever is taken in; open a transaction first."""
        return self._views.refreshing_once(self.schema)

    def states(self, keys: Collection[Key]) -> Mapping[Key, State]:
        """Return the states of those trunks of `keys` that there are."""
        return {key: parts_of(row.entity) for key, row in self.store.trunks(keys).items()}

    def shown(self, key: Key) -> Shown:
        """Return what the app sees of one entity, and the base that its next change may name."""
        return self._views.folded([key], self.schema)[key]

    def write(self, key: Key, author: Author, now: int, transaction_id: str | None = None) -> Change | None:
        """Make a change, put it into the outbox and show it. `now` is milliseconds since 1970 UTC.

        Raises `LocalError` where `apply` would reject it: a change is refused when it is made, not when it is pushed.
        """
        with self.store.transaction():
            state = self.store.state()
            row = self.store.trunks([key]).get(key)
            trunk = None if row is None else row.entity
            entries = list(self.store.entries([key]).get(key, ()))
            lost = self.store.lost([key]).get(key, frozenset())
            folded = self._resumed(trunk, entries, lost)
            shown = view_of(folded)
            dot = Dot(state.device_id, state.counter + 1)
            change = author(shown, Stamp(dot, now, transaction_id, shown.base))
            if change is None:
                return None
            if lost:
                change = _over_lost(change, trunk, lost)
            entry, after = self._admitted(change, shown, trunk)
            self.store.put_entry(entry)
            self.store.put_state(replace(state, counter=dot.counter))
            if shown.entity is folded.entity and after is not None and not (shown.frozen and folded.twins):
                # What the author saw is what the fold has come to, and the change means the same there.
                folded = on_top(folded, entry, after, self.schema)
            else:
                folded = go_on(folded, [entry], self.schema, lost)
            self._latest = _Written(self.schema, trunk, [*entries, entry], lost, folded)
            self.store.put_views({key: view_of(folded)})
            return change

    def _resumed(self, trunk: Entity | None, entries: list[Entry], lost: frozenset[Dot]) -> Fold:
        """Return the fold of one entity; from where the latest write left it, if nothing else has moved since."""
        known = self._latest
        if known is not None and known.schema is self.schema and (known.trunk, known.lost) == (trunk, lost):
            done = len(known.entries)
            if entries[:done] == known.entries:
                return go_on(known.folded, entries[done:], self.schema, lost)
        return go_on(Fold(trunk), entries, self.schema, lost)

    def _admitted(self, change: Change, shown: Shown, trunk: Entity | None) -> tuple[Entry, Entity | None]:
        """Return the entry for `change`, and what it makes of the entity that its author saw."""
        after, outcome = apply(shown.entity, change, self.schema)
        if outcome.status == "rejected":
            raise LocalError(outcome.code, outcome.message, outcome.path)
        form = encoded(change)
        if len(form) > CHANGE_BYTES_MAX:
            raise LocalError(
                "too_large", f"this change has {len(form)} bytes, at most {CHANGE_BYTES_MAX}: split it"
            )
        starts = run_starts(change, trunk, shown, self.schema)
        return Entry(change, digest_of_form(form), len(form), run_starts=starts), after

    def plan_push(
        self, *, changes_max: int, bytes_max: int, answered: Collection[Dot] = frozenset()
    ) -> list[Pushed]:
        """Return what to push next: pending changes in outbox order, transactions whole.

        `answered` are those whose receipts have come and are still to be taken in.
        """
        kinds = self.store.state().authority_kinds
        known = None if kinds is None else frozenset(kinds)
        pending = (entry for entry in self.store.pending() if entry.change.dot not in answered)
        chosen = plan_push(pending, known, changes_max=changes_max, bytes_max=bytes_max)
        return [Pushed(entry.change, entry.digest) for entry in chosen]

    def take_receipts(self, receipts: Iterable[Receipt]) -> list[Rejected]:
        """Take in the authority's answers; return what was rejected. Unknown and repeated receipts do nothing."""
        answered = {receipt.dot: receipt for receipt in receipts}
        refused: list[Rejected] = []
        with self.store.transaction():
            entries = [
                entry
                for entry in self.store.entries_by_dot(list(answered))
                if entry.is_pending and entry.digest == answered[entry.change.dot].digest
            ]
            for entry in entries:
                refused += self._settle(entry, answered[entry.change.dot].outcome)
            self._views.refresh(
                {(entry.change.kind, entry.change.entity_id) for entry in entries}, self.schema
            )
        return refused

    def take_deferred(self, dots: Collection[Dot]) -> None:
        """Hold back these changes until the authority knows their kind."""
        with self.store.transaction():
            for entry in self.store.entries_by_dot(dots):
                if entry.is_pending and not entry.is_deferred:
                    self.store.put_entry(replace(entry, is_deferred=True))

    def _settle(self, entry: Entry, outcome: Outcome) -> list[Rejected]:
        change = entry.change
        if outcome.is_accepted and change.op != "void" and outcome.status != "duplicate":
            self.store.put_entry(replace(entry, outcome=outcome))
            return []
        self._views.took_back((change.kind, change.entity_id))
        given_up = self._given_up(entry) if outcome.is_accepted and outcome.status != "duplicate" else None
        if given_up is not None:
            # It had arrived before it was given up. The authority may still lose it, so it is kept like any other that
            # is in no trunk yet.
            self.store.drop_rejected(given_up.dot)
            self.store.put_entry(Entry(given_up, entry.digest, len(encoded(given_up)), outcome))
            return []
        self.store.drop_entries([change.dot])
        if outcome.status == "duplicate":
            # What it says has arrived under another dot, and this one will never be in any trunk.
            self.store.put_lost((change.kind, change.entity_id), change.dot)
        if outcome.is_accepted:
            # The change that this void stands for had arrived before it was given up: it is not rejected after all.
            self._drop_rejected(first_name(change, entry.digest))
            return []
        self.store.put_lost((change.kind, change.entity_id), change.dot)
        if change.op == "void":
            # The payload is on the rejected list since it was given up, unless the user has dealt with it.
            return []
        refused = Rejected(change, outcome, entry.digest)
        self.store.put_rejected(refused)
        return [refused]

    def _given_up(self, void: Entry) -> Change | None:
        """Return the change that a void stands for, unless its author has dealt with it, or it had another dot."""
        found = [one.change for one in self._rejected_as(first_name(void.change, void.digest))]
        return next((change for change in found if change.dot == void.change.dot), None)

    def _drop_rejected(self, name: Alias) -> None:
        for one in self._rejected_as(name):
            self.store.drop_rejected(one.change.dot)

    def _rejected_as(self, name: Alias) -> list[Rejected]:
        return [one for one in self.store.rejected() if _first_name(one) == name]

    def take_page(self, page: Page) -> set[Key]:
        """Take in a page of the feed with its cursor; return the entities whose view may have changed.

        The page must have been cut after every receipt taken in so far was given (one exchange at a time does that):
        then an acknowledged change whose entity the last page (`more` is false) has not brought is out of sight for
        this subject, and leaves the fold.
        """
        with self.store.transaction():
            rows = {(row.entity.kind, row.entity.entity_id): row for row in page.rows}
            gone = {(evicted.kind, evicted.entity_id): evicted.seq for evicted in page.evicted}
            self._look_out(row.entity for row in page.rows)
            held = self.store.trunks([*rows, *gone])
            fresh = {key: row for key, row in rows.items() if key not in held or row.seq >= held[key].seq}
            self.store.put_trunks(fresh.values())
            evicted = {key for key, seq in gone.items() if key in held and seq >= held[key].seq}
            state = self.store.state()
            if set(state.tags) - set(page.tags):
                evicted |= {
                    key for key, tags in self.store.trunk_tags() if tags and not set(tags) & set(page.tags)
                }
            self.store.drop_trunks(evicted)
            self.store.put_state(replace(state, cursor=page.cursor, tags=page.tags))
            changed = {*fresh, *evicted, *(() if page.more else self._let_go_unseen())}
            self._views.refresh(changed, self.schema)
        return changed

    def _look_out(self, entities: Iterable[Entity]) -> None:
        """Take a new device id where `entities`, fresh from the authority, show that ours is used elsewhere too.

        They then hold a dot that we have not spent, or one of a change that is still to be answered. (That answer may
        only have been lost; but once trunk and outbox hold one dot each, nobody could tell which of the two a later
        edit replaces.)
        """
        state = self.store.state()
        ours = {
            (entity.kind, entity.entity_id): entity.version_vector[state.device_id]
            for entity in entities
            if state.device_id in entity.version_vector
        }
        if any(counter > state.counter for counter in ours.values()) or any(
            entry.is_pending and entry.change.dot.counter <= ours[key]
            for key, entries in self.store.entries(list(ours)).items()
            for entry in entries
        ):
            self.take_new_id()

    def take_new_id(self, *, is_resending: bool = False) -> None:
        """Go on under a new device id: what is pending is said again under it, and counts once (see `identity`).

        `is_resending` says the same of what was accepted and is not in the trunk yet: the authority may have lost it.
        """
        with self.store.transaction():
            state = self.store.state()
            dots = [entry.change.dot for entry in self.store.pending()]
            if is_resending:
                dots += [entry.change.dot for entry in self._uncovered()]
            entries = self.store.entries_by_dot(dots)
            device_id = self._fresh_id()
            said_again = renamed(entries, device_id)
            self.store.drop_entries(dots)
            former_ids = [*state.former_ids, state.device_id]
            for entry in said_again:
                self.store.put_entry(entry)
                if entry.change.op == "void":
                    self.store.put_lost((entry.change.kind, entry.change.entity_id), entry.change.dot)
            self.store.put_state(
                replace(state, device_id=device_id, counter=len(said_again), former_ids=former_ids)
            )
            self._latest = None
            self._views.refresh(
                {(entry.change.kind, entry.change.entity_id) for entry in entries}, self.schema
            )

    def _uncovered(self) -> list[Entry]:
        entries = self.store.acknowledged()
        trunks = self.store.trunks({(entry.change.kind, entry.change.entity_id) for entry in entries})
        known = {key: row.entity.version_vector for key, row in trunks.items()}
        return [
            entry
            for entry in entries
            if not includes(known.get((entry.change.kind, entry.change.entity_id), {}), entry.change.dot)
        ]

    def _let_go_unseen(self) -> set[Key]:
        entries = self.store.acknowledged()
        keys = {(entry.change.kind, entry.change.entity_id) for entry in entries}
        unseen = keys - set(self.store.trunks(keys))
        gone = [entry for entry in entries if (entry.change.kind, entry.change.entity_id) in unseen]
        self.store.drop_entries([entry.change.dot for entry in gone])
        return unseen

    def take_authority(self, kinds: Sequence[str], epoch: str) -> None:
        """Remember the kinds of the authority's schema and its epoch."""
        state = self.store.state()
        if (
            state.authority_kinds is None
            or list(state.authority_kinds) != list(kinds)
            or state.epoch != epoch
        ):
            with self.store.transaction():
                self.store.put_state(replace(state, authority_kinds=kinds, epoch=epoch))

    def set_aside(self, dot: Dot, outcome: Outcome) -> None:
        """Give up a pending change by name (too large, say): a void takes its dot, its payload joins the rejected list.

        The void is pushed in its place, so that counters stay gap-free and nothing behind it waits. The other changes
        of its transaction go with it: they stand and fall together.
        """
        with self.store.transaction():
            entries = [
                one for one in self.store.entries_by_dot([dot]) if one.is_pending and one.change.op != "void"
            ]
            transaction_ids = {one.change.transaction_id for one in entries} - {None}
            mates = [one for one in self.store.pending() if one.change.transaction_id in transaction_ids]
            for entry in mates or entries:
                self._give_up(entry, outcome)
            self._views.refresh(
                {(entry.change.kind, entry.change.entity_id) for entry in mates or entries}, self.schema
            )

    def _give_up(self, entry: Entry, outcome: Outcome) -> None:
        change = entry.change
        key = (change.kind, change.entity_id)
        void = Change(
            change.dot,
            *key,
            "void",
            change.base,
            was=change.was,
            formerly=change.formerly,
            digest=entry.digest,
            reason=outcome.code or "discarded",
        )
        self.store.put_entry(Entry(void, entry.digest, len(encoded(void))))
        self.store.put_lost(key, change.dot)
        self.store.put_rejected(Rejected(change, outcome, entry.digest))

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list for good: the user has seen it and does not want it."""
        with self.store.transaction():
            self.store.drop_rejected(dot)

    def retry(self, dot: Dot, now: int, transaction_id: str | None = None) -> Change | None:
        """Make a rejected change anew, with a new dot, on top of what is shown now; None if it changes nothing.

        The changes of a rejected transaction are retried as one by giving each the same new `transaction_id`. The new
        change names the former one in `was`: should that have arrived before it was set aside, it counts once. (Not
        where its answer was lost: then somebody has looked whether it arrived.)
        """
        with self.store.transaction():
            found = next((one for one in self.store.rejected() if one.change.dot == dot), None)
            if found is None:
                raise LocalError("unknown_dot", f"{dot} is not in the rejected list")
            former, key = found.change, (found.change.kind, found.change.entity_id)
            was = _first_name(found)

            def author(shown: Shown, stamp: Stamp) -> Change | None:
                change = self._again(former, shown, stamp)
                if change is None or found.outcome.code == RECEIPT_LOST:
                    return change
                return replace(change, was=was, formerly=names_between(former))

            change = self.write(key, author, now, transaction_id)
            self.store.drop_rejected(dot)
            return change

    def begin_reconciling(self, *, is_other_past: bool = False) -> None:
        """Say that trunk and authority may differ; the next sync finds out where, and mends it (see `reconcile`).

        `is_other_past` says that the authority was restored: it may lack what it had accepted, and its sequence
        numbers begin again. When the two agree again, what it lacks is sent again, under a new id.
        """
        with self.store.transaction():
            if is_other_past:
                rows = self.store.trunks([key for key, _ in self.store.trunk_tags()])
                self.store.put_trunks([replace(row, seq=0) for row in rows.values()])
                self.store.put_state(replace(self.store.state(), cursor=None))
            self.store.put_state(replace(self.store.state(), must_reconcile=True))

    def resync(self) -> None:
        """Compare the whole copy at the next sync, whichever past it is of."""
        self.begin_reconciling(is_other_past=True)

    def take_rows(self, rows: Iterable[Row], gone: Collection[Key] = ()) -> None:
        """Take in rows as the authority has them now, and forget those that are `gone` from it.

        Their sequence numbers are left aside. Nothing durable proves yet that the authority had got so far; were it
        put back to an older state now, what it does next would have lower ones, and seem old.
        """
        with self.store.transaction():
            fresh = {(row.entity.kind, row.entity.entity_id): replace(row, seq=0) for row in rows}
            self._look_out(row.entity for row in fresh.values())
            self.store.put_trunks(fresh.values())
            self.store.drop_trunks(gone)
            self._views.refresh({*fresh, *gone}, self.schema)

    def end_reconciling(self, cursor: str, tags: Sequence[str]) -> None:
        """Go on with the feed from `cursor`: the trunk is what the subject, holding `tags`, could see there."""
        with self.store.transaction():
            if self.store.state().cursor is None:
                # Here and not before: whoever has the new id, a copy of this file too, can then prove which past it is
                # of, and no id is ever used in two.
                self.take_new_id(is_resending=True)
            self.store.put_state(replace(self.store.state(), cursor=cursor, tags=tags, must_reconcile=False))

    def _again(self, change: Change, shown: Shown, stamp: Stamp) -> Change | None:
        wanted = {path: final_value(patch) for path, patch in change.patches.items()}
        if shown.entity is None:
            if change.op != "create":
                raise LocalError(
                    "unknown_entity", f"{change.kind} {change.entity_id} is not here any more: discard it"
                )
            return changes.create(change.kind, change.entity_id, wanted, stamp, self.schema)
        if change.op == "delete":
            return changes.delete(shown.entity, stamp)
        if change.op == "restore":
            return changes.restore(shown.entity, stamp)
        if change.op == "resolve":
            return changes.resolution(shown.entity, wanted, stamp)
        return changes.again(change, shown.entity, stamp, self.schema)


def _over_lost(change: Change, trunk: Entity | None, lost: Iterable[Dot]) -> Change:
    """Return `change` with the dots of its device and entity that it passes over, because they were not accepted."""
    device_id = change.dot.device_id
    known = 0 if trunk is None else trunk.version_vector.get(device_id, 0)
    passed = sorted(dot for dot in lost if dot.device_id == device_id and dot.counter > known)
    return replace(change, absent=passed[-ABSENT_DOTS_MAX:]) if passed else change


def _first_name(rejected: Rejected) -> Alias:
    return first_name(rejected.change, rejected.digest or digest(rejected.change))


def too_large(size_bytes: int) -> Outcome:
    """Return the device's own reason for setting aside a change that no push can carry."""
    return rejected(
        "too_large", f"{size_bytes} bytes are more than one push carries: split the change and retry"
    )
