"""The outbox: a device's changes that the authority has not answered for good, and what the app sees meanwhile.

An entry is *pending* until its own receipt comes. A rejected or void change leaves the outbox (the first for the
rejected list). An accepted one stays in the fold, *acknowledged*, until the pulled trunk covers its dot. So::

    view = fold(trunk, entries)          trunk: the entity as the authority has it

A text path is special: a merge needs a base that the authority once had. Its view is frozen on the trunk held when the
first of an unbroken run of own patches was made, with that run on top, until the whole run is acknowledged and the
trunk covers it. The first entry of a run carries that `RunStart`; a create starts the runs of its texts with nothing.
While a path is frozen it shows less than the trunk, so `base` of the next change names only what every path showed.

Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import apply, final_value
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.causality.version_vector import includes, meet, merge
from rightfit_sync.changes import replacing
from rightfit_sync.field import less_dots, merge_field
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX, PUSH_BYTES_MAX
from rightfit_sync.merge.registry import rules_of
from rightfit_sync.paths import is_inside
from rightfit_sync.records import Change, Entity, Outcome, Sibling
from rightfit_sync.schema.spec import KindSpec, Schema


class RunStart(msgspec.Struct, frozen=True, gc=False):
    """What the trunk showed at a text path, and its version vector, when a run of own patches began."""

    siblings: Sequence[Sibling]
    version_vector: Mapping[str, int]


_AT_NOTHING = RunStart((), {})


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One change in the outbox.

    `digest` is that of the form first made durable and never changes; `outcome` is the
    receipt once the change is acknowledged; `size_bytes` that of its canonical form; `is_deferred` says that the
    authority has seen it and put it off, because it did not know its kind.
    """

    change: Change
    digest: str
    size_bytes: int = 0
    outcome: Outcome | None = None
    is_deferred: bool = False
    run_starts: Mapping[str, RunStart] = {}

    @property
    def is_pending(self) -> bool:
        """Whether the authority has yet to answer."""
        return self.outcome is None


class Shown(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the app sees of one entity (None: nothing), and the `base` that its next change may name.

    `frozen` are the text paths that stand still, because a run of own patches is open there.
    """

    entity: Entity | None
    base: Mapping[str, int]
    frozen: frozenset[str] = frozenset()


class Fold(msgspec.Struct, frozen=True, gc=False):
    """A view in the making: what `view_of` shows, and what the next entry goes on from.

    `texts` are the siblings of the frozen paths, `seen` the version vector that every one of them shows (None:
    nothing is frozen), `own` the device ids that the entries were written under, `skipped` the dots of those that are
    not shown because they build on a lost one, `twins` the dots of those that the trunk has under another one, with
    that.
    """

    entity: Entity | None
    texts: Mapping[str, Sequence[Sibling]] = {}
    seen: Mapping[str, int] | None = None
    own: frozenset[str] = frozenset()
    skipped: frozenset[Dot] = frozenset()
    twins: Mapping[Dot, Dot] = {}


def fold(
    trunk: Entity | None, entries: Iterable[Entry], schema: Schema, lost: frozenset[Dot] = frozenset()
) -> Shown:
    """Return the view of one entity: `trunk` with `entries` (its own, in outbox order) applied.

    `lost` are this replica's rejected and void dots of the entity, which a later `base` may still name.
    """
    return view_of(go_on(Fold(trunk), entries, schema, lost))


def go_on(folded: Fold, entries: Iterable[Entry], schema: Schema, lost: frozenset[Dot]) -> Fold:
    """Return `folded` with further entries on top.

    An entry that builds on a lost dot is not shown: it will be rejected by name as well, and so is lost itself to those
    that come after it.
    """
    for entry in entries:
        change, gone = entry.change, lost | folded.skipped
        meant = _renamed(change, folded.twins) if folded.twins else change
        entity, outcome = apply(
            folded.entity, trimmed(meant, folded.entity, gone | folded.twins.keys()), schema
        )
        if outcome.status == "rejected":
            folded = replace(folded, skipped=folded.skipped | {change.dot})
            continue
        twin = _twin(entity, change) if outcome.status == "duplicate" else None
        folded = on_top(folded, entry, entity, schema)
        if twin is not None:
            folded = replace(folded, twins={**folded.twins, change.dot: twin})
    return folded


def _twin(entity: Entity | None, change: Change) -> Dot | None:
    """Return the dot under which `entity` has a change that was said again, if that is another one."""
    if entity is None or change.was is UNSET or includes(entity.version_vector, change.dot):
        return None
    return next((one.dot for one in entity.named if one.was == change.was), None)


def _renamed(change: Change, twins: Mapping[Dot, Dot]) -> Change:
    """Return `change` with what its author saw, and what it replaces, named as the trunk has it, too."""
    base = change.base
    for dot, twin in twins.items():
        if includes(change.base, dot):
            base = merge(base, {twin.device_id: twin.counter})
    return replace(change, base=base, patches=replacing(change.patches, twins))


def on_top(folded: Fold, entry: Entry, entity: Entity | None, schema: Schema) -> Fold:
    """Return `folded` with one entry more, which has made `entity` of its entity."""
    change = entry.change
    own = folded.own if change.dot.device_id in folded.own else folded.own | {change.dot.device_id}
    is_first = folded.entity is None
    folded = Fold(entity, folded.texts, folded.seen, own, folded.skipped, folded.twins)
    kind = schema.kinds.get(change.kind)
    return folded if kind is None else _with_texts(folded, entry, kind, is_first=is_first)


def _with_texts(folded: Fold, entry: Entry, kind: KindSpec, *, is_first: bool) -> Fold:
    paths = frozen_paths(kind, entry.change)
    if not paths and not folded.texts:
        return folded
    fields = {} if folded.entity is None else folded.entity.fields
    if is_first and not entry.run_starts and fields.keys() >= set(paths):
        # `apply` has just merged the same patches with the same nothing.
        return replace(folded, texts={path: fields[path] for path in paths}, seen={})
    texts, seen = _less_removed(folded.texts, entry.change), folded.seen
    for path in paths:
        if path not in texts:
            start = entry.run_starts.get(path, _AT_NOTHING)
            texts[path] = start.siblings
            seen = start.version_vector if seen is None else meet(seen, start.version_vector)
        texts[path] = _on_top(texts[path], entry.change, path, kind)
    return replace(folded, texts=texts, seen=seen)


def _less_removed(texts: Mapping[str, Sequence[Sibling]], change: Change) -> dict[str, Sequence[Sibling]]:
    """Return `texts` less what `change` takes from those inside the items that it removes."""
    kept = dict(texts)
    for item, patch in change.patches.items() if kept else ():
        if "/" in item and patch.value is None:
            for path in [path for path in texts if is_inside(path, item)]:
                kept[path] = less_dots(kept[path], patch.replaced)
    return kept


def view_of(folded: Fold) -> Shown:
    """Return what the app sees."""
    entity = folded.entity
    if entity is None:
        return Shown(None, {})
    vector = entity.version_vector
    if folded.seen is None:
        return Shown(entity, vector)
    own = {path: siblings for path, siblings in folded.texts.items() if siblings}
    if any(entity.fields.get(path) != siblings for path, siblings in own.items()):
        entity = replace(entity, fields={**entity.fields, **own})
    mine = {device_id: counter for device_id, counter in vector.items() if device_id in folded.own}
    base = merge(meet(vector, folded.seen), mine)
    return Shown(entity, base, frozenset(folded.texts))


def trimmed(change: Change, entity: Entity | None, lost: Iterable[Dot]) -> Change:
    """Return `change` with `base` lowered to what `entity` includes wherever it names one of the `lost` dots."""
    known = {} if entity is None else entity.version_vector
    beyond = [device_id for device_id, counter in change.base.items() if counter > known.get(device_id, 0)]
    if not beyond:
        return change
    gone = frozenset(lost)
    base = dict(change.base)
    for device_id in beyond:
        if Dot(device_id, base[device_id]) in gone:
            base[device_id] = known.get(device_id, 0)
    return replace(change, base={device_id: counter for device_id, counter in base.items() if counter > 0})


def frozen_paths(kind: KindSpec, change: Change) -> list[str]:
    """Return those paths that `change` patches and whose view it freezes."""
    return rules_of(kind).freezing(change.patches.keys())


def _on_top(siblings: Sequence[Sibling], change: Change, path: str, kind: KindSpec) -> Sequence[Sibling]:
    if change.op not in ("create", "edit", "resolve"):
        return siblings
    patch = change.patches[path]
    op = change.op
    dot = WrittenDot(change.dot.device_id, change.dot.counter, change.written_at)
    return merge_field(rules_of(kind).policy(path), siblings, patch, final_value(patch), dot, op).siblings


def run_starts(change: Change, trunk: Entity | None, shown: Shown, schema: Schema) -> dict[str, RunStart]:
    """Return what a new entry for `change` must remember: the trunk at each text path where it begins a run.

    `shown` is what its author saw: the trunk, less what own pending removals of an item take from its texts.
    """
    kind = schema.kinds.get(change.kind)
    if kind is None or trunk is None:
        return {}
    fields = trunk.fields if shown.entity is None else shown.entity.fields
    return {
        path: RunStart(fields.get(path, ()), trunk.version_vector)
        for path in frozen_paths(kind, change)
        if path not in shown.frozen
    }


def finished(trunk: Entity | None, entries: Sequence[Entry], schema: Schema) -> list[Entry]:
    """Return the entries of one entity that may leave: acknowledged, covered by the trunk, and in no open text run."""
    known = {} if trunk is None else trunk.version_vector
    done: list[Entry] = []
    held: set[str] = set()
    for entry in entries:
        if entry.is_pending or not includes(known, entry.change.dot):
            held.update(_texts(entry, schema))
        else:
            done.append(entry)
    while held:
        staying = [entry for entry in done if _is_of(held, entry, schema)]
        if not staying:
            return done
        held.update(*(_texts(entry, schema) for entry in staying))
        done = [entry for entry in done if entry not in staying]
    return done


def _is_of(held: Collection[str], entry: Entry, schema: Schema) -> bool:
    """Whether `entry` is of an open run at one of the paths `held`: it wrote there, or removed the item around it."""
    if not _texts(entry, schema).isdisjoint(held):
        return True
    return any(
        patch.value is None and "/" in item and any(is_inside(path, item) for path in held)
        for item, patch in entry.change.patches.items()
    )


def _texts(entry: Entry, schema: Schema) -> set[str]:
    kind = schema.kinds.get(entry.change.kind)
    return set() if kind is None else set(frozen_paths(kind, entry.change))


def plan_push(
    entries: Iterable[Entry],
    known_kinds: frozenset[str] | None = None,
    *,
    changes_max: int = CHANGES_PER_PUSH_MAX,
    bytes_max: int = PUSH_BYTES_MAX,
) -> list[Entry]:
    """Return the next entries to push, in outbox order, a transaction always whole.

    `entries` are the pending ones, oldest first. A change that the authority has deferred waits, with its transaction,
    until its kind is among `known_kinds`, and so do those that build on it; all others flow past them. (Each is sent
    once, so that counters have no gap, and together with those that it builds on, so that it is put off too.)
    """
    chosen: list[Entry] = []
    size_bytes = 0
    held: list[list[Entry]] = []
    for group in transactions(entries):
        if known_kinds is not None and _waits(group, held, known_kinds):
            held.append(group)
            continue
        sent = group
        if held:
            before = [entry for waiting in _those_before(group, held) for entry in waiting]
            sent = [entry for entry in before if entry not in chosen] + group
        sent_bytes = sum(entry.size_bytes for entry in sent)
        if chosen and (len(chosen) + len(sent) > changes_max or size_bytes + sent_bytes > bytes_max):
            break
        chosen.extend(sent)
        size_bytes += sent_bytes
    return chosen


def _waits(group: Sequence[Entry], held: Sequence[Sequence[Entry]], known_kinds: frozenset[str]) -> bool:
    """Whether the authority has put all of `group` off, and would do so again."""
    if not all(entry.is_deferred for entry in group):
        return False
    return any(_is_ahead(entry, known_kinds) for entry in group) or bool(_those_before(group, held))


def _those_before(group: Sequence[Entry], held: Sequence[Sequence[Entry]]) -> list[Sequence[Entry]]:
    """Return those of the groups held back that `group` builds on, directly or not, in their order."""
    keys = {_key(entry) for entry in group}
    found: list[Sequence[Entry]] = []
    for waiting in reversed(held):
        if keys & {_key(entry) for entry in waiting}:
            found.insert(0, waiting)
            keys.update(_key(entry) for entry in waiting)
    return found


def _key(entry: Entry) -> tuple[str, str]:
    return entry.change.kind, entry.change.entity_id


def _is_ahead(entry: Entry, known_kinds: frozenset[str]) -> bool:
    return entry.change.op != "void" and entry.change.kind not in known_kinds


class CarriesChange(Protocol):
    """Whatever a change travels or waits in: an entry of the outbox, a pushed change."""

    @property
    def change(self) -> Change:
        """The change."""


_Carrier = TypeVar("_Carrier", bound=CarriesChange)


def transactions(carriers: Iterable[_Carrier]) -> Iterable[list[_Carrier]]:
    """Yield runs of neighbours that share a transaction id; a change without one stands alone."""
    group: list[_Carrier] = []
    for carrier in carriers:
        transaction_id = carrier.change.transaction_id
        if group and (transaction_id is None or transaction_id != group[-1].change.transaction_id):
            yield group
            group = []
        group.append(carrier)
    if group:
        yield group
