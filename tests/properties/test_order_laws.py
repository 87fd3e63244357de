"""What does not depend on the order in which changes arrive, or on how they are split into pushes."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, Schema, Stamp, apply, conflicts, view
from rightfit_sync.changes import edit
from rightfit_sync.outbox import Entry, finished, fold, run_starts
from rightfit_sync.records import digest
from rightfit_sync.schema.spec import FieldSpec, KindSpec
from rightfit_sync.testing.histories import CLOCK, History, created, histories, is_ready, wishes
from rightfit_sync.testing.strategies import KIND, POLICIES, patchable, schemas

CHECKLIST = Schema(
    1, {KIND: KindSpec({"items": FieldSpec("keyed_list", "list", fields={"note": FieldSpec(type="str")})})}
)


def ends(draw: st.DrawFn, history: History) -> list[Entity]:
    """The entity after all changes: in the order of their making, and in another that causality allows."""
    first = history.states[0]
    orders = [list(history.changes), in_another_order(draw, first, history.changes, history.schema)]
    entities = []
    for order in orders:
        entity: Entity | None = first
        for change in order:
            entity, outcome = apply(entity, change, history.schema)
            assert outcome.is_accepted, outcome
        assert entity is not None
        entities.append(entity)
    return entities


def in_another_order(
    draw: st.DrawFn, entity: Entity, changes: Sequence[Change], schema: Schema
) -> list[Change]:
    order: list[Change] = []
    waiting = list(changes)
    while waiting:
        chosen = draw(st.sampled_from([change for change in waiting if is_ready(entity, change)]))
        waiting.remove(chosen)
        order.append(chosen)
        entity = apply(entity, chosen, schema)[0] or entity
    return order


def assert_equal(schema: Schema, entities: Sequence[Entity]) -> None:
    one, other = entities
    assert msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
    assert conflicts(one, schema) == conflicts(other, schema)
    assert view(one, schema) == view(other, schema)


registers_and_sets = schemas(("register", "set"), fields_max=2, with_invariants=False)


@given(registers_and_sets.flatmap(lambda schema: histories(schema, steps_max=8)), st.data())
def test_registers_and_sets_commute_always(history: History, data: st.DataObject) -> None:
    """Whatever is created, edited, cleared, deleted, restored and resolved, by whoever saw whatever."""
    assert_equal(history.schema, ends(data.draw, history))


@given(histories(CHECKLIST, steps_max=8), st.data())
def test_the_items_of_a_list_and_their_fields_commute_always(history: History, data: st.DataObject) -> None:
    assert_equal(history.schema, ends(data.draw, history))


counters = schemas(("counter",), fields_max=1, with_invariants=False)
counting = counters.flatmap(lambda schema: histories(schema, steps_max=8, ops=["edit"], nulls=False))


@given(counting, st.data())
def test_counters_commute_where_no_resolution_or_create_is_concerned(
    history: History, data: st.DataObject
) -> None:
    one, other = (strip_group(entity) for entity in ends(data.draw, history))
    assert_equal(history.schema, [one, other])
    assert all(len(siblings) == 1 for siblings in one.fields.values())


def strip_group(entity: Entity) -> Entity:
    """Leave a group out: it holds a counter, but is none."""
    return replace(entity, fields={path: one for path, one in entity.fields.items() if path != "group"})


class Device:
    """One device and an authority that it may push to, a few changes at a time."""

    def __init__(self, schema: Schema, entity: Entity) -> None:
        self.schema = schema
        self.authority = self.trunk = entity
        self.entries: list[Entry] = []
        self.counter = 0

    @property
    def pending(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.is_pending]

    def write(self, draw: st.DrawFn, paths: Sequence[str]) -> None:
        shown = fold(self.trunk, self.entries, self.schema)
        assert shown.entity is not None
        stamp = Stamp(Dot("me", self.counter + 1), draw(CLOCK), base=shown.base)
        wanted = wishes(draw, self.schema.kinds[KIND], paths)
        change = edit(shown.entity, wanted, stamp, self.schema)
        if change is not None:
            self.counter += 1
            starts = run_starts(change, self.trunk, shown, self.schema)
            self.entries.append(Entry(change, digest(change), run_starts=starts))
            self.check(paths)

    def push(self, count: int) -> None:
        for entry in self.pending[:count]:
            after, outcome = apply(self.authority, entry.change, self.schema)
            assert outcome.status in ("applied", "merged"), outcome
            assert after is not None
            self.authority = after
            self.entries[self.entries.index(entry)] = replace(entry, outcome=outcome)

    def pull(self, paths: Sequence[str]) -> None:
        self.trunk = self.authority
        done = finished(self.trunk, self.entries, self.schema)
        self.entries = [entry for entry in self.entries if entry not in done]
        self.check(paths)

    def elsewhere(self, draw: st.DrawFn, paths: Sequence[str]) -> None:
        """Somebody else writes to other paths, knowing all that the authority knows."""
        counter = self.authority.version_vector.get("other", 0) + 1
        wanted = wishes(draw, self.schema.kinds[KIND], paths)
        change = edit(self.authority, wanted, Stamp(Dot("other", counter), draw(CLOCK)), self.schema)
        if change is not None:
            self.authority = apply(self.authority, change, self.schema)[0] or self.authority

    def check(self, paths: Sequence[str]) -> None:
        shown = fold(self.trunk, self.entries, self.schema).entity
        assert shown is not None
        assert not [found for found in conflicts(shown, self.schema) if found.path in paths]


in_a_row = schemas([name for name in POLICIES if name not in ("once", "keyed_list")], with_invariants=False)


@given(in_a_row, st.data())
def test_edits_each_replacing_the_former_never_conflict_however_they_are_split(
    schema: Schema, data: st.DataObject
) -> None:
    draw = data.draw
    device = Device(schema, draw(created(schema)))
    paths = patchable(schema.kinds[KIND])
    mine = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=2, unique=True)) if paths else []
    theirs = [path for path in paths if path not in mine]
    for step in draw(st.lists(st.sampled_from("wwwpplo"), min_size=2, max_size=10)):
        if step == "w" and mine:
            device.write(draw, mine)
        elif step == "p":
            device.push(draw(st.integers(1, 3)))
        elif step == "l":
            device.pull(mine)
        elif theirs:
            device.elsewhere(draw, theirs)
    before = fold(device.trunk, device.entries, schema).entity
    device.push(len(device.entries))
    device.pull(mine)
    assert not device.entries
    assert before is not None
    for path in mine:
        assert [one.value for one in device.trunk.fields.get(path, ())] == [
            one.value for one in before.fields.get(path, ())
        ]
