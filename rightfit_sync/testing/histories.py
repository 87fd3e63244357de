"""Causally valid histories of one entity, as a Hypothesis strategy.

A history is a growing list of *states*, as replicas and authorities of several epochs may hold them. Each
step makes a new state of former ones: a device writes on top of a state that holds all its former changes,
through `rightfit_sync.changes`; a state takes in a change that was made on another; or two states are joined.
So whatever two writers could do without knowing of each other happens here, in any order that causality
allows.

Needs the package `hypothesis`; nothing else in the core imports this module.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from rightfit_sync import changes
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import dominates, includes
from rightfit_sync.changes import Stamp
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import LocalError
from rightfit_sync.join import join
from rightfit_sync.records import Change, Entity, Outcome
from rightfit_sync.schema.spec import KindSpec, Schema
from rightfit_sync.testing.strategies import KIND, patchable, values, values_at
from rightfit_sync.values import Value

ENTITY_ID = "0192f0c8-0000-7000-8000-000000000001"
"""The entity that histories are about."""

AUTHORITY = "server:e1"
"""The device id under which the authority writes `server` fields."""

DEVICES: Sequence[str] = ("a", "b", "c")

CLOCK = st.integers(0, 20)
"""Readings of clocks that are wrong: milliseconds since 1970 UTC, in no order."""


class Step(NamedTuple):
    """How the state `after` came about: `change` applied to the state `before`, or a join (no `before`)."""

    before: int | None
    change: Change | None
    outcome: Outcome | None
    after: int


class History(NamedTuple):
    """`states[0]` is the entity as it was created; `steps[n].after` says which state each step left."""

    schema: Schema
    states: Sequence[Entity]
    changes: Sequence[Change]
    steps: Sequence[Step]


def author(
    draw: st.DrawFn,
    entity: Entity,
    stamp: Stamp,
    schema: Schema,
    *,
    op: str = "edit",
    paths: Sequence[str] = (),
    nulls: bool = True,
) -> Change | None:
    """Draw a change on top of `entity`: `op` is `edit`, `delete`, `restore`, `resolve`, or `create`.

    Return None where there is nothing to change. `paths` are those to write to (any, if there are none),
    `nulls` says whether one may be cleared; a resolution settles a conflict that is open.
    """
    kind = schema.kinds[entity.kind]
    if op == "delete":
        return changes.delete(entity, stamp)
    if op == "restore":
        return changes.restore(entity, stamp)
    if op == "resolve":
        found = conflicts(entity, schema)
        return resolution(draw, entity, draw(st.sampled_from(found)), stamp, schema) if found else None
    wanted = wishes(draw, kind, paths, nulls=nulls)
    if op == "create":
        return changes.create(entity.kind, entity.entity_id, wanted, stamp, schema)
    return changes.edit(entity, wanted, stamp, schema)


def wishes(
    draw: st.DrawFn, kind: KindSpec, paths: Sequence[str] = (), *, count_max: int = 2, nulls: bool = True
) -> dict[str, Value]:
    """Draw what a writer wants of these paths (of any, if there are none): `{path: value}`."""
    among = paths or patchable(kind)
    if not among:
        return {}
    chosen = draw(st.lists(st.sampled_from(among), min_size=1, max_size=count_max, unique=True))
    found = {path: values_at(kind, path) for path in chosen}
    return {path: draw(pool if nulls else pool.filter(_is_there)) for path, pool in found.items()}


def _is_there(value: Value) -> bool:
    return value is not None


def resolution(
    draw: st.DrawFn, entity: Entity, conflict: Conflict, stamp: Stamp, schema: Schema
) -> Change | None:
    """Draw a person's answer to `conflict`; None where the values drawn change nothing."""
    try:
        return changes.resolve(
            entity, conflict, draw(choices(conflict, schema.kinds[entity.kind])), stamp, schema
        )
    except LocalError:
        return None


def choices(conflict: Conflict, kind: KindSpec) -> st.SearchStrategy[Value]:
    """Return what a person may choose to settle `conflict`."""
    if conflict.reason == "delete_edit":
        return st.sampled_from(["keep", "delete"])
    if conflict.reason == "invariant":
        return _whole_choices(kind, kind.invariants[conflict.path].fields)
    theirs = [sibling.value for sibling in conflict.siblings] if conflict.reason == "siblings" else []
    return (
        st.one_of(st.sampled_from(theirs), values_at(kind, conflict.path))
        if theirs
        else values_at(kind, conflict.path)
    )


def _whole_choices(kind: KindSpec, fields: Sequence[str]) -> st.SearchStrategy[Value]:
    named = [field for field in fields if kind.fields[field].merge != "server"]
    wanted = {field: values(kind.fields[field]) for field in named}
    return st.fixed_dictionaries(wanted).map(dict) if named else st.none()


@st.composite
def created(draw: st.DrawFn, schema: Schema) -> Entity:
    """Return an entity as its creator leaves it, with up to three of its paths filled."""
    kind = schema.kinds[KIND]
    wanted = wishes(draw, kind, count_max=3)
    change = changes.create(KIND, ENTITY_ID, wanted, Stamp(Dot("z", 1), draw(CLOCK)), schema)
    entity, outcome = apply(None, change, schema)
    if entity is None or outcome.status == "rejected":
        raise AssertionError(f"the creation {change} was refused: {outcome}")
    return entity


_OPS: Sequence[str] = (*["edit"] * 8, "delete", "restore", "resolve", "resolve", "create", "authority")


@st.composite
def histories(
    draw: st.DrawFn,
    schema: Schema,
    *,
    steps_max: int = 10,
    ops: Sequence[str] = _OPS,
    joins: bool = False,
    nulls: bool = True,
) -> History:
    """Return histories under `schema` of up to `steps_max` steps, with the kinds of change `ops`.

    `joins` lets states be joined as well as changes be taken in, as after a restore of the authority; without
    `nulls` nobody clears a field.
    """
    world = _World(schema, draw(created(schema)), nulls=nulls)
    # Few paths, so that writers meet.
    every = patchable(schema.kinds[KIND])
    paths = draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True)) if every else []
    moves = ["write", "write", "take", "take", *(["join"] if joins else [])]
    for _ in range(draw(st.integers(steps_max // 2, steps_max))):
        move = draw(st.sampled_from(moves))
        index = draw(st.integers(0, len(world.states) - 1))
        if move == "join":
            other = draw(st.integers(0, len(world.states) - 1))
            world.add(join(world.states[index], world.states[other]), None, None, None)
        elif move == "write" or not world.take(draw, index):
            world.write(draw, index, draw(st.sampled_from(ops)), paths)
    return History(schema, world.states, world.changes, world.steps)


class _World:
    """A history that grows."""

    def __init__(self, schema: Schema, first: Entity, *, nulls: bool) -> None:
        self.schema = schema
        self._nulls = nulls
        self.states = [first]
        self.changes: list[Change] = []
        self.steps: list[Step] = []
        self._spent: dict[str, int] = {}
        self._newcomers = 0

    def add(self, state: Entity, before: int | None, change: Change | None, outcome: Outcome | None) -> None:
        """Remember how a state came about."""
        self.states.append(state)
        self.steps.append(Step(before, change, outcome, len(self.states) - 1))

    def write(self, draw: st.DrawFn, index: int, op: str, paths: Sequence[str]) -> None:
        """Let a device write on top of a state."""
        entity = self.states[index]
        device_id = AUTHORITY if op == "authority" else draw(st.sampled_from(DEVICES))
        if entity.version_vector.get(device_id, 0) != self._spent.get(device_id, 0):
            # This device knows more than this state holds: somebody else stands before this screen.
            self._newcomers += 1
            device_id = f"{device_id}{self._newcomers}"
        stamp = Stamp(Dot(device_id, self._spent.get(device_id, 0) + 1), draw(CLOCK))
        if op == "authority":
            op, paths = "edit", patchable(self.schema.kinds[entity.kind], by_authority=True) or paths
        change = author(draw, entity, stamp, self.schema, op=op, paths=paths, nulls=self._nulls)
        if change is not None and self._put(index, change):
            self._spent[device_id] = stamp.dot.counter
            self.changes.append(change)

    def take(self, draw: st.DrawFn, index: int) -> bool:
        """Let a state take in a change that was made elsewhere; return whether it is ready for one."""
        entity = self.states[index]
        ready = [change for change in self.changes if is_ready(entity, change)]
        return bool(ready) and self._put(index, draw(st.sampled_from(ready)))

    def _put(self, index: int, change: Change) -> bool:
        after, outcome = apply(self.states[index], change, self.schema)
        if after is None or outcome.status == "rejected":
            return False
        self.add(after, index, change, outcome)
        return True


@st.composite
def disputed(draw: st.DrawFn, schema: Schema) -> Entity:
    """Return an entity that several devices wrote to, mostly without knowing of each other."""
    first = entity = draw(created(schema))
    every = patchable(schema.kinds[KIND])
    paths = draw(st.lists(st.sampled_from(every), min_size=1, max_size=2, unique=True)) if every else []
    for number in range(draw(st.integers(2, 4))):
        seen = draw(st.sampled_from((first, first, entity)))
        op = draw(st.sampled_from(("edit", "edit", "edit", "edit", "delete", "create", "restore")))
        change = author(draw, seen, Stamp(Dot(f"d{number}", 1), draw(CLOCK)), schema, op=op, paths=paths)
        if change is not None:
            entity = apply(entity, change, schema)[0] or entity
    return entity


def is_ready(entity: Entity, change: Change) -> bool:
    """Whether `entity` holds what `change` builds on, and not yet the change itself."""
    vector, dot = entity.version_vector, change.dot
    replaced = all(includes(vector, dot) for patch in change.patches.values() for dot in patch.replaced)
    own_turn = vector.get(dot.device_id, 0) == dot.counter - 1
    return own_turn and replaced and dominates(vector, change.base)
