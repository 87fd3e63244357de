"""Every pair of concurrent edits, for every policy: base, one edit, another, each over all of a small world.

The judge below knows who had seen what, since it deals the cards: both writers saw the base and not each
other. It looks at the final siblings and conflict records alone, never at an outcome, and asks that no value
that was written is gone.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product

import msgspec
import pytest

from rightfit_sync import Change, Dot, Entity, Schema, Stamp, apply, conflicts, create, delete, edit, view
from rightfit_sync.life import is_deleted

Json = object
ABSENT, DELETED = "<absent>", "<deleted>"
OTHERS: Mapping[str, Json] = {"anchor": "here"}
FLOW = {"O": ["A"], "A": ["P", "H"], "P": ["H", "D"], "H": ["P"]}
FIELDS = {
    "anchor": {"type": "str"},
    "register": {"type": "str"},
    "once": {"merge": "once", "type": "str"},
    "words": {"merge": "text"},
    "merged": {"merge": "text", "on_overlap": "merge"},
    "counter": {"merge": "counter", "type": "int"},
    "maximum": {"merge": "maximum", "type": "int"},
    "minimum": {"merge": "minimum", "type": "int"},
    "workflow": {"merge": "workflow", "type": "str", "transitions": FLOW},
    "tags": {"merge": "set", "type": "str"},
    "meta": {"merge": "map", "type": "map", "element": {"type": "str"}},
    "items": {"merge": "keyed_list", "type": "list", "fields": {"note": {"type": "str"}}},
    "stage": {"merge": "workflow", "type": "str", "transitions": FLOW},
    "by": {"type": "str"},
    "start": {"type": "int"},
    "end": {"type": "int"},
}
GROUPS: Mapping[str, dict[str, Json]] = {
    "led": {"members": ["stage", "by"], "lead": "stage"},
    "span": {"members": ["start", "end"]},
}
SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"thing": {"fields": FIELDS, "groups": GROUPS}}}, Schema, strict=True
)
VALUES: Mapping[str, list[Json]] = {
    "register": ["Boiler leaks", "Boiler drips", "Tap drips"],
    "once": ["N1", "N2", "N3"],
    "words": ["key lid", "key lot", "kay lod"],
    "words apart": ["key lid", "key lid bun", "sag key lid"],
    "merged": ["key lid", "key lot", "kay lod"],
    "merged apart": ["key lid", "key lid bun", "sag key lid"],
    "counter": [10, 17, 12],
    "maximum": [3, 5, 9],
    "minimum": [3, 5, 9],
    "workflow": ["A", "P", "H"],
    "workflow branch": ["O", "D", "H"],
    "tags/leak": [True, True, True],
    "meta/colour": ["red", "blue", "green"],
    "items/7": ["A", "M", "z"],
    "items/7/note": ["call", "call first", "ring"],
    "led": [{"stage": "O", "by": "ann"}, {"stage": "A", "by": "bob"}, {"stage": "P", "by": "ann"}],
    "span": [{"start": 1, "end": 2}, {"start": 1, "end": 3}, {"start": 2, "end": 4}],
}
CASES = [
    pytest.param(
        name.split()[0], base, local, remote, id=f"{name}-{'abc-x'[b]}{'abc-x'[left]}{'abc-x'[right]}"
    )
    for name, known in VALUES.items()
    for (b, base), (left, local), (right, remote) in product(enumerate([*known, ABSENT, DELETED]), repeat=3)
]


class Writer:
    """One device, whose changes all start from the entity as it saw it."""

    def __init__(self, device_id: str, clock: int) -> None:
        self.device_id = device_id
        self.counter = 0
        self.clock = clock

    def stamp(self) -> Stamp:
        self.counter += 1
        return Stamp(Dot(self.device_id, self.counter), self.clock + self.counter)

    def wants(self, entity: Entity, path: str, value: Json) -> Change | None:
        """Return the change that makes `value` of `path`, if there is anything to do."""
        if value == DELETED:
            return delete(entity, self.stamp())
        return edit(entity, flat(path, None if value == ABSENT else value), self.stamp(), SCHEMA)


def flat(path: str, value: Json) -> dict[str, Json]:
    if path in GROUPS:
        names = {"led": ["stage", "by"], "span": ["start", "end"]}[path]
        return {name: value[name] if isinstance(value, dict) else None for name in names}
    return {path: value}


def start(path: str, base: Json) -> Entity:
    """Return the entity that both saw."""
    writer = Writer("s", 0)
    wanted = dict(OTHERS) | ({} if base in (ABSENT, DELETED) else flat(path, base))
    if path == "items/7/note":
        wanted["items/7"] = "M"
    entity, _ = apply(None, create("thing", "1", wanted, writer.stamp(), SCHEMA), SCHEMA)
    if base == DELETED:
        assert entity is not None
        entity, _ = apply(entity, delete(entity, writer.stamp()), SCHEMA)
    assert entity is not None
    return entity


def after(entity: Entity, *changes: Change | None) -> Entity:
    for change in changes:
        if change is not None:
            found, outcome = apply(entity, change, SCHEMA)
            assert outcome.status in ("applied", "merged", "conflicted"), outcome
            assert found is not None
            entity = found
    return entity


@pytest.mark.parametrize(("path", "base", "local", "remote"), CASES)
def test_two_concurrent_edits_lose_nothing_in_either_order(
    path: str, base: Json, local: Json, remote: Json
) -> None:
    seen = start(path, base)
    mine, theirs = Writer("a", 100).wants(seen, path, local), Writer("b", 200).wants(seen, path, remote)
    one, other = after(seen, theirs, mine), after(seen, mine, theirs)
    assert msgspec.to_builtins(one) == msgspec.to_builtins(other)
    for problem in lost(one, path, base, mine and local, theirs and remote):
        raise AssertionError(f"{problem}: {msgspec.to_builtins(one)}")


def lost(entity: Entity, path: str, base: Json, mine: Json, theirs: Json) -> Iterator[str]:
    """Yield what is wrong, by a reading of the final state alone. None stands for no edit at all."""
    gone = is_deleted(entity, SCHEMA.kinds["thing"])
    listed = {conflict.path for conflict in conflicts(entity, SCHEMA)}
    kept = [sibling.value for sibling in entity.fields.get(path, ())]
    edits = [
        None if wanted == ABSENT else wanted for wanted in (mine, theirs) if wanted not in (None, DELETED)
    ]
    deletes = [wanted for wanted in (mine, theirs) if wanted == DELETED]
    leaves_a_dot = [wanted for wanted in edits if not (path.startswith("tags/") and wanted is None)]
    if deletes and leaves_a_dot and (gone or "life" not in listed):
        yield "an edit beside a delete is no conflict"
    if deletes and not edits and not gone:
        yield "it was deleted, and is there"
    if not deletes and base != DELETED and gone:
        yield "nobody deleted it, and it is gone"
    if len(kept) > 1 and path not in listed and not gone:
        yield "values stand beside each other, and no conflict says so"
    for wanted in edits:
        if not HELD.get(path, held_as_it_is)(
            wanted, None if base in (ABSENT, DELETED) else base, edits, kept
        ):
            yield f"{wanted!r} is nowhere"
    if len(edits) < 2 and len(kept) > 1 and path != "once":
        yield "one edit alone conflicts"
    if path == "once" and base not in (ABSENT, DELETED, *kept):
        yield "what was to be written once was written over"


def held_as_it_is(wanted: Json, _base: Json, _edits: list[Json], kept: list[Json]) -> bool:
    return wanted in kept


def held_in_count(_wanted: Json, base: Json, edits: list[Json], kept: list[Json]) -> bool:
    start_at = base if isinstance(base, int) else 0
    deltas = [edited - start_at for edited in edits if isinstance(edited, int)]
    if None in edits:
        return _wanted in kept
    return kept == [start_at + sum(deltas)]


def held_as_greatest(wanted: Json, base: Json, edits: list[Json], kept: list[Json]) -> bool:
    return held_as_extreme(max, wanted, base, edits, kept)


def held_as_least(wanted: Json, base: Json, edits: list[Json], kept: list[Json]) -> bool:
    return held_as_extreme(min, wanted, base, edits, kept)


def held_as_extreme(
    extreme: Callable[[list[int]], int], wanted: Json, base: Json, edits: list[Json], kept: list[Json]
) -> bool:
    """The furthest of what anybody wrote; null stands outside of the order."""
    if wanted is None:
        return wanted in kept
    known = [number for number in [*edits, base] if isinstance(number, int)]
    ours = [number for number in [wanted, base] if isinstance(number, int)]
    return extreme(ours) in kept if None in edits else kept == [extreme(known)]


LATER = {"O": "APHD", "A": "PHD", "P": "PHD", "H": "PHD", "D": ""}
"""Which states may come after which, read off `FLOW` by hand."""


def held_in_flow(wanted: Json, _base: Json, _edits: list[Json], kept: list[Json]) -> bool:
    return any(wanted == value or (wanted and value and str(value) in LATER[str(wanted)]) for value in kept)


def held_in_group(wanted: Json, base: Json, _edits: list[Json], kept: list[Json]) -> bool:
    if wanted is None or any(value == wanted for value in kept) or wanted == {"stage": None, "by": None}:
        return wanted in kept or {"stage": None, "by": None} in kept
    assert isinstance(wanted, dict)
    was = base if isinstance(base, dict) else {}
    return any(
        isinstance(value, dict)
        and str(value["stage"]) in LATER[wanted["stage"]]
        and wanted["by"] in (was.get("by"), value["by"])
        for value in kept
    )


def held_in_set(wanted: Json, base: Json, edits: list[Json], kept: list[Json]) -> bool:
    """Both saw the same adds, so a removal of either is a removal."""
    return bool(kept) == (True in edits or (base is True and None not in edits))


def held_in_span(wanted: Json, _base: Json, _edits: list[Json], kept: list[Json]) -> bool:
    return (wanted or {"start": None, "end": None}) in kept


def held_in_text(wanted: Json, base: Json, edits: list[Json], kept: list[Json]) -> bool:
    """As it is, or in one text with each letter that was typed, and none that was taken away."""
    if wanted in kept:
        return True
    if not isinstance(wanted, str) or len(kept) != 1 or not isinstance(kept[0], str):
        return False
    texts = [edited for edited in edits if isinstance(edited, str)]
    before = str(base or "")
    for letter in {*before, *"".join(texts)} - {" "}:
        found = kept[0].count(letter)
        if letter in before:
            if found != all(letter in text for text in texts):
                return False
        elif not 1 <= found <= sum(letter in text for text in texts):
            return False
    return True


HELD: Mapping[str, Callable[[Json, Json, list[Json], list[Json]], bool]] = {
    "counter": held_in_count,
    "maximum": held_as_greatest,
    "minimum": held_as_least,
    "workflow": held_in_flow,
    "led": held_in_group,
    "span": held_in_span,
    "tags/leak": held_in_set,
    "words": held_in_text,
    "merged": held_in_text,
}


def test_the_world_is_whole() -> None:
    assert len(CASES) == len(VALUES) * 5**3
    assert view(start("register", "Boiler leaks"), SCHEMA)["register"] == "Boiler leaks"
