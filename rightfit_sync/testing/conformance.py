"""`StoreSuite`: what every adapter of `rightfit_sync.store.Store` must do, as tests for pytest.

Subclass it next to a fixture `store` that gives a fresh one, with views for `SCHEMA` and the state
`FIRST_STATE`; override `reopened` where a store lives in a file::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self, tmp_path: Path) -> Iterator[Store]: ...

        def reopened(self, store: Store) -> Store: ...

Needs the package `pytest`; nothing else in the core imports this module.
"""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from rightfit_sync import changes
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.changes import Stamp
from rightfit_sync.feed import Page, Row
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.outbox import Entry, RunStart, Shown
from rightfit_sync.records import Change, Entity, Outcome, Patch, Sibling, digest, encoded, rejected
from rightfit_sync.replica import ReplicaCore
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.store import Key, Rejected, ReplicaState, Store

KIND = "task"
SCHEMA = Schema(1, {KIND: KindSpec({"title": FieldSpec(type="str"), "notes": FieldSpec("text", "str")})})
"""The schema whose views the store under test keeps."""

FIRST_STATE = ReplicaState(device_id="dev-a", subject="ann")
"""The state that the store under test begins with."""


class BrokenOffError(Exception):
    """What the suite raises inside a transaction."""


def key(number: int) -> Key:
    """Return the key of one of the suite's entities."""
    return KIND, f"0192f0c8-0000-7000-8000-{number:012}"


def row(number: int, seq: int = 1, title: str = "Boiler", tags: Sequence[str] = ("landlord",)) -> Row:
    """Return a trunk row with one settled field."""
    kind, entity_id = key(number)
    sibling = Sibling(title, [WrittenDot("dev-b", seq, 1_763_830_000_000)])
    return Row(seq, Entity(kind, entity_id, {"dev-b": seq}, {"title": [sibling]}), tags)


def entry(
    counter: int, number: int = 1, device_id: str = "dev-a", *, outcome: Outcome | None = None
) -> Entry:
    """Return an outbox entry that holds all that an entry may hold."""
    kind, entity_id = key(number)
    patches = {"notes": Patch(value=f"{counter}: 水\U0001f600", base=None, replaces=[Dot("dev-b", 1)])}
    change = Change(Dot(device_id, counter), kind, entity_id, "edit", {"dev-b": 1}, patches, 5, "t-1")
    starts = {"notes": RunStart([Sibling("x", [WrittenDot("dev-b", 1, 5)])], {"dev-b": 1})}
    return Entry(change, digest(change), len(encoded(change)), outcome, run_starts=starts)


def _no_id() -> str:
    raise AssertionError("nobody should need a new device id here")


def refused(counter: int) -> Rejected:
    """Return a line of the rejected list."""
    return Rejected(entry(counter).change, rejected("restricted", "it is still in use", "title"))


def expect(found: object, wanted: object) -> None:
    """Fail unless the two say the same; a list and a tuple of the same elements do."""
    if _plain(found) != _plain(wanted):
        raise AssertionError(f"expected {_plain(wanted)}, got {_plain(found)}")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(str(inner) for inner in value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _plain(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else value


class StoreSuite:
    """See the module's docstring. Every test begins with a fresh `store`."""

    def reopened(self, store: Store) -> Store:
        """Return the store as another process would find it after a crash; by default the same one."""
        return store

    def test_the_state_is_replaced_whole(self, store: Store) -> None:
        """Every fact of it, with what is absent."""
        expect(store.state(), FIRST_STATE)
        full = ReplicaState(
            "dev-c", "bob", 2**40, ["dev-a", "dev-b"], "cursor", "e2", ["landlord", "é"], ["task"]
        )
        for state in (full, FIRST_STATE, ReplicaState("dev-c", authority_kinds=[])):
            with store.transaction():
                store.put_state(state)
                expect(store.state(), state)
            store = self.reopened(store)
            expect(store.state(), state)

    def test_trunk_rows_are_kept_whole_and_replaced_by_key(self, store: Store) -> None:
        """A later row of the same entity takes the place of the former."""
        first, second = row(1), Row(4, row(2).entity, ["a"], ["title"], {"notes": "both"})
        with store.transaction():
            store.put_trunks([first, second])
        store = self.reopened(store)
        expect(store.trunks([key(1), key(2), key(3)]), {key(1): first, key(2): second})
        newer = row(1, seq=9, title="Tap", tags=())
        with store.transaction():
            store.put_trunks([newer])
        expect(store.trunks([key(1)]), {key(1): newer})
        expect(dict(store.trunk_tags()), {key(1): [], key(2): ["a"]})

    def test_of_one_batch_the_last_row_of_an_entity_stays(self, store: Store) -> None:
        """A page may hold an entity twice."""
        with store.transaction():
            store.put_trunks([row(1, seq=1), row(1, seq=2, title="Tap")])
        expect(store.trunks([key(1)])[key(1)].seq, 2)

    def test_trunk_rows_can_be_dropped(self, store: Store) -> None:
        """Those named; what is not there does no harm."""
        with store.transaction():
            store.put_trunks([row(1), row(2)])
            store.drop_trunks([key(1), key(3)])
            store.drop_trunks([])
            expect(list(store.trunks([key(1), key(2)])), [key(2)])
        expect([found for found, _ in self.reopened(store).trunk_tags()], [key(2)])

    def test_asking_for_nothing_gives_nothing(self, store: Store) -> None:
        """Empty collections are legal everywhere."""
        with store.transaction():
            store.put_trunks([])
            store.drop_entries([])
            store.put_views({})
        expect(list(store.trunks([])), [])
        expect(list(store.entries([])), [])
        expect(list(store.lost([])), [])
        expect(list(store.entries_by_dot([])), [])
        expect(list(store.pending()), [])
        expect(list(store.acknowledged()), [])
        expect(list(store.rejected()), [])

    def test_entries_keep_the_order_in_which_they_were_put(self, store: Store) -> None:
        """Not that of their dots: a device that changed its id has lower counters later."""
        put = [entry(7, 1, "dev-z"), entry(1, 2), entry(2, 1), entry(10, 1), entry(3, 2)]
        with store.transaction():
            for one in put:
                store.put_entry(one)
        found = self.reopened(store)
        expect(list(found.pending()), put)
        by_key = {key(1): [put[0], put[2], put[3]], key(2): [put[1], put[4]]}
        expect(found.entries([key(1), key(2), key(3)]), by_key)
        dots = [put[4].change.dot, put[0].change.dot, Dot("dev-a", 99)]
        expect(list(found.entries_by_dot(dots)), [put[0], put[4]])

    def test_an_entry_is_replaced_in_its_place(self, store: Store) -> None:
        """An acknowledged one is pending no more, and still in the fold."""
        put = [entry(1), entry(2), entry(3)]
        answered = entry(2, outcome=Outcome("conflicted", ["notes"], suggestions={"notes": "both"}))
        with store.transaction():
            for one in put:
                store.put_entry(one)
            store.put_entry(answered)
        found = self.reopened(store)
        expect(list(found.pending()), [put[0], put[2]])
        expect(list(found.acknowledged()), [answered])
        expect(list(found.entries([key(1)])[key(1)]), [put[0], answered, put[2]])

    def test_entries_can_be_dropped_and_put_again_at_the_end(self, store: Store) -> None:
        """A dropped entry leaves nothing of its old place."""
        with store.transaction():
            for counter in (1, 2, 3):
                store.put_entry(entry(counter))
            store.drop_entries([Dot("dev-a", 1), Dot("dev-a", 99)])
            store.put_entry(entry(1))
        expect([one.change.dot.counter for one in self.reopened(store).pending()], [2, 3, 1])

    def test_pending_entries_may_change_while_they_are_read(self, store: Store) -> None:
        """A push takes receipts for what it has just read."""
        with store.transaction():
            for counter in range(1, 6):
                store.put_entry(entry(counter))
        seen = []
        for one in store.pending():
            seen.append(one.change.dot.counter)
            with store.transaction():
                store.drop_entries([one.change.dot])
        expect(seen, [1, 2, 3, 4, 5])
        expect(list(store.pending()), [])

    def test_lost_dots_are_kept_for_ever_by_entity(self, store: Store) -> None:
        """Putting one twice is putting it once."""
        with store.transaction():
            for dot in (Dot("dev-a", 1), Dot("dev-z", 1), Dot("dev-a", 1)):
                store.put_lost(key(1), dot)
            store.put_lost(key(2), Dot("dev-a", 2))
        lost = {key(1): {Dot("dev-a", 1), Dot("dev-z", 1)}, key(2): {Dot("dev-a", 2)}}
        expect(self.reopened(store).lost([key(1), key(2), key(3)]), lost)

    def test_the_rejected_list_keeps_payloads_oldest_first(self, store: Store) -> None:
        """Until each is dropped by name."""
        with store.transaction():
            for counter in (5, 2, 9):
                store.put_rejected(refused(counter))
        store = self.reopened(store)
        expect(list(store.rejected()), [refused(5), refused(2), refused(9)])
        with store.transaction():
            store.drop_rejected(Dot("dev-a", 2))
            store.drop_rejected(Dot("dev-a", 99))
        expect(list(store.rejected()), [refused(5), refused(9)])

    def test_a_transaction_that_fails_leaves_no_trace(self, store: Store) -> None:
        """In any table, in any order, in any index."""
        with store.transaction():
            self._fill(store)
        before = self._everything(store)
        with pytest.raises(BrokenOffError), store.transaction():
            self._disturb(store)
        expect(self._everything(store), before)
        expect(self._everything(self.reopened(store)), before)

    def test_an_inner_transaction_is_part_of_the_outer_one(self, store: Store) -> None:
        """What the inner one wrote goes where the outer one goes."""
        with pytest.raises(BrokenOffError), store.transaction():
            self._nested(store)
        store = self.reopened(store)
        expect(list(store.pending()), [])
        with store.transaction(), store.transaction():
            store.put_entry(entry(1))
        expect(len(list(self.reopened(store).pending())), 1)

    def test_reads_inside_a_transaction_see_its_writes(self, store: Store) -> None:
        """Of every table."""
        with store.transaction():
            self._fill(store)
            inside = self._everything(store)
        expect(self._everything(store), inside)
        expect([index for index, part in enumerate(inside) if not part], [])

    def test_a_replica_lives_on_it(self, store: Store) -> None:
        """Write, push, be answered, pull, be rejected, crash between any two, rebuild the copy."""
        core = ReplicaCore(store, SCHEMA, _no_id)
        made = core.write(key(1), lambda _, stamp: self._create(stamp, "Boiler"), 100)
        expect(made is not None, wanted=True)
        core = ReplicaCore(self.reopened(store), SCHEMA, _no_id)
        core.write(key(1), lambda shown, stamp: self._retitle(shown, stamp, "Tap"), 101)
        pushed = core.plan_push(changes_max=10, bytes_max=10_000)
        expect([one.change.dot for one in pushed], [Dot("dev-a", 1), Dot("dev-a", 2)])
        answers = [Outcome("applied"), rejected("not_permitted", "ask the landlord")]
        core.take_receipts(
            Receipt(one.change.dot, one.digest, answer) for one, answer in zip(pushed, answers, strict=True)
        )
        core = ReplicaCore(self.reopened(core.store), SCHEMA, _no_id)
        shown = core.shown(key(1)).entity or row(9).entity
        expect([one.value for one in shown.fields["title"]], ["Boiler"])
        expect([one.change.dot.counter for one in core.store.rejected()], [2])
        core.take_page(Page("c-1", ["landlord"], [Row(1, shown, ["landlord"])]))
        expect(core.store.acknowledged(), [])
        expect(core.store.state().cursor, "c-1")
        core.resync()
        expect((core.store.state().must_reconcile, core.store.state().cursor), (True, None))
        core.take_rows([], gone=[key(1)])
        core = ReplicaCore(self.reopened(core.store), SCHEMA, lambda: "dev-a2")
        core.end_reconciling("c-2", ["landlord"])
        core = ReplicaCore(self.reopened(core.store), SCHEMA, _no_id)
        expect(core.shown(key(1)).entity, None)
        renamed = ReplicaState("dev-a2", "ann", 0, ["dev-a"], "c-2", tags=["landlord"])
        expect(core.store.state(), renamed)

    @staticmethod
    def _disturb(store: Store) -> None:
        store.put_state(ReplicaState("dev-x", counter=9))
        store.put_trunks([row(1, seq=9), row(3)])
        store.drop_trunks([key(2)])
        store.put_entry(entry(1, outcome=Outcome("applied")))
        store.put_entry(entry(9, 3))
        store.drop_entries([Dot("dev-a", 2)])
        store.put_entry(entry(2))
        store.put_lost(key(1), Dot("dev-a", 77))
        store.put_rejected(refused(8))
        store.drop_rejected(Dot("dev-a", 5))
        store.put_views({key(1): Shown(row(1, title="never").entity, {})})
        raise BrokenOffError

    @staticmethod
    def _nested(store: Store) -> None:
        with store.transaction():
            store.put_entry(entry(1))
        raise BrokenOffError

    @staticmethod
    def _create(stamp: Stamp, title: str) -> Change:
        return changes.create(*key(1), {"title": title}, stamp, SCHEMA)

    @staticmethod
    def _retitle(shown: Shown, stamp: Stamp, title: str) -> Change | None:
        return None if shown.entity is None else changes.edit(shown.entity, {"title": title}, stamp, SCHEMA)

    @staticmethod
    def _fill(store: Store) -> None:
        store.put_state(ReplicaState("dev-a", counter=6))
        store.put_trunks([row(1), row(2)])
        for counter in (1, 2, 3):
            store.put_entry(entry(counter))
        store.put_entry(entry(4, outcome=Outcome("applied")))
        store.put_lost(key(1), Dot("dev-a", 5))
        store.put_rejected(refused(5))
        store.put_rejected(refused(6))

    @staticmethod
    def _everything(store: Store) -> list[object]:
        keys = [key(number) for number in (1, 2, 3)]
        return [
            store.state(),
            store.trunks(keys),
            dict(store.trunk_tags()),
            store.entries(keys),
            list(store.pending()),
            list(store.acknowledged()),
            list(store.entries_by_dot([Dot("dev-a", counter) for counter in range(10)])),
            store.lost(keys),
            list(store.rejected()),
        ]
