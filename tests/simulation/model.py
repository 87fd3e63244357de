"""What must be true at the end of a history, told by somebody who watched the screens.

The model knows what each person typed, what each screen had shown to them at that moment, and which writes
the authority took in, in which order. It merges nothing and shares no code with the core: it only checks that
each write is visible, was replaced by somebody who had seen it, stands in an open conflict, or was rejected.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Key = tuple[str, str]
Json = object

STATUS = ["OPEN", "ASSIGNED", "IN_PROGRESS", "DONE"]
TRANSITIONS = {"OPEN": ["ASSIGNED", "REFUSED"], "ASSIGNED": ["IN_PROGRESS", "OPEN"], "IN_PROGRESS": ["DONE"]}
TEXTS = {"notes", "log"}


@dataclass
class Typed:
    """What one write did to one text: the characters added and taken away on that screen."""

    added: frozenset[str]
    removed: frozenset[str]
    brought_back: frozenset[str] = frozenset()
    may_add: frozenset[str] = frozenset()


@dataclass
class Write:
    """One thing that a person (or the authority) did to one record."""

    number: int
    device: str
    key: Key
    op: str
    values: dict[str, Json] = field(default_factory=dict)
    before: dict[str, Json] = field(default_factory=dict)
    texts: dict[str, Typed] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    seen: frozenset[int] = frozenset()
    seen_in_text: dict[str, frozenset[int]] = field(default_factory=dict)
    trunk_place: int = 0
    transaction: str | None = None
    planted: str = ""
    is_on_screen: bool = True
    is_retried: bool = False
    fate: str = "pending"
    code: str = ""

    def touches(self, path: str) -> bool:
        return path in self.values or any(
            self.values[own] is None and own.startswith("items/") and path.startswith(f"{own}/")
            for own in self.values
        )

    def saw(self, number: int, path: str) -> bool:
        """Whether the screen showed that other write; a text with unsent edits shows what it began with."""
        return number in self.seen_in_text.get(path, self.seen)

    def __str__(self) -> str:
        kind, entity_id = self.key
        said = f" {self.values}" if self.values else ""
        why = f" ({self.code})" if self.code else ""
        what = f"#{self.number} {self.device} {self.op} {kind}/{entity_id}{said}"
        return f"{what} saw {sorted(self.seen)}: {self.fate}{why}"


def leads_to(start: Json, end: Json) -> bool:
    """Whether a workflow that stands at `start` may come to stand at `end`."""
    reached, waiting = set[Json](), [start]
    while waiting:
        for state in TRANSITIONS.get(str(waiting.pop()), ()):
            if state not in reached:
                reached.add(state)
                waiting.append(state)
    return end in reached


def holds_register(value: Json, kept: Json, _write: Write) -> bool:
    return value == kept and isinstance(value, bool) == isinstance(kept, bool)


def holds_maximum(value: Json, kept: Json, _write: Write) -> bool:
    return isinstance(value, int) and isinstance(kept, int) and kept >= value


def holds_minimum(value: Json, kept: Json, _write: Write) -> bool:
    return isinstance(value, int) and isinstance(kept, int) and kept <= value


def holds_workflow(value: Json, kept: Json, _write: Write) -> bool:
    return value == kept or leads_to(value, kept)


def holds_led_group(value: Json, kept: Json, write: Write) -> bool:
    """The winner may swallow a loser that had changed nothing but the lead, or the same as the winner."""
    if value == kept:
        return True
    was = write.before.get("completion")
    if (
        not isinstance(value, Mapping)
        or not isinstance(kept, Mapping)
        or not leads_to(value["stage"], kept["stage"])
    ):
        return False
    known = was if isinstance(was, Mapping) else {}
    return all(value[name] in (kept[name], known.get(name)) for name in value if name != "stage")


def went_on_from_alike(other: Write, write: Write) -> bool:
    """Equal values are one: whoever takes a group on from the same names, typed by another hand, has seen them."""
    value, was, now = (
        write.values["completion"],
        other.before.get("completion"),
        other.values.get("completion"),
    )
    if not isinstance(value, Mapping) or not isinstance(was, Mapping) or not isinstance(now, Mapping):
        return False
    alike = all(value[name] == was[name] for name in value if name != "stage")
    return alike and (
        value["stage"] in (was["stage"], now["stage"]) or leads_to(value["stage"], now["stage"])
    )


HOLDS: Mapping[str, Callable[[Json, Json, Write], bool]] = {
    "high": holds_maximum,
    "low": holds_minimum,
    "status": holds_workflow,
    "completion": holds_led_group,
}


def holds(path: str, value: Json, kept: Json, write: Write) -> bool:
    return HOLDS.get(path, holds_register)(value, kept, write)


@dataclass
class Found:
    """What was found at the authority in the end, for one record."""

    fields: Mapping[str, Sequence[Json]]
    is_deleted: bool
    conflict_paths: frozenset[str]


class Model:
    """Everything that was written, and what each screen knew."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.taken_in: dict[Key, list[int]] = {}
        self.places: dict[tuple[Key, int], int] = {}
        self._trunks: dict[tuple[str, Key], int] = {}
        self._text_runs: dict[tuple[str, Key], list[Write]] = {}

    # What happens

    def write(self, write: Write) -> Write:
        """Somebody wrote; what the screen had shown is worked out here."""
        write.number = len(self.writes)
        own, trunk = self._own(write.device, write.key), self._trunk(write.device, write.key)
        write.seen = frozenset([*own, *trunk])
        write.trunk_place = len(trunk)
        runs = self._open_runs(write.device, write.key)
        for first in reversed(runs):
            then = trunk[: first.trunk_place]
            write.seen_in_text.update({path: frozenset([*own, *then]) for path in first.texts})
        self._text_runs[write.device, write.key] = [*runs, write] if write.texts else runs
        self.writes.append(write)
        return write

    def accepted(self, write: Write) -> None:
        write.fate, write.code = "accepted", ""
        self.taken_in.setdefault(write.key, []).append(write.number)

    def arrived_before(self, write: Write, former: Write) -> None:
        """`write` was `former`, tried again, which had arrived: whoever saw the one saw the other."""
        write.fate, write.is_on_screen = "duplicate", False
        for other in self.writes:
            if write.number in other.seen:
                other.seen |= {former.number}
                other.seen_in_text = {
                    path: seen | {former.number} for path, seen in other.seen_in_text.items()
                }

    def by_authority(self, key: Key, op: str, values: dict[str, Json]) -> None:
        """The authority wrote, seeing all that it had taken in."""
        seen = frozenset(self.taken_in.get(key, ()))
        write = Write(len(self.writes), "server", key, op, values, seen=seen)
        self.writes.append(write)
        self.accepted(write)

    def row_has_place(self, key: Key, seq: int) -> None:
        """The authority gave a record's present state the place `seq` in its feed."""
        self.places[key, seq] = len(self.taken_in.get(key, ()))

    def row_came(self, device: str, key: Key, seq: int) -> None:
        known = self._trunks.get((device, key), 0)
        self._trunks[device, key] = max(known, self.places[key, seq])

    def _own(self, device: str, key: Key) -> list[int]:
        return [
            one.number for one in self.writes if one.device == device and one.key == key and one.is_on_screen
        ]

    def _trunk(self, device: str, key: Key) -> list[int]:
        return self.taken_in.get(key, [])[: self._trunks.get((device, key), 0)]

    def _open_runs(self, device: str, key: Key) -> list[Write]:
        """Own text edits that a screen still shows on the text that they were made on."""
        runs = [one for one in self._text_runs.get((device, key), ()) if one.is_on_screen]
        covered = set(self._trunk(device, key))
        is_open = [one for one in runs if one.number not in covered]
        while True:
            held = {path for one in is_open for path in one.texts}
            more = [one for one in runs if one not in is_open and held & set(one.texts)]
            if not more:
                return [one for one in runs if one in is_open]
            is_open += more

    # What must be true in the end

    def problems(self, key: Key, found: Found) -> list[str]:
        """Return a sentence for each way in which `found` breaks the promise."""
        writes = [self.writes[number] for number in self.taken_in.get(key, ())]
        sentences = [
            *self._lost_values(writes, found),
            *_wrong_count(writes, found),
            *_wrong_tags(writes, found),
        ]
        for path in sorted(TEXTS):
            sentences += _wrong_text(path, writes, found)
        return [*sentences, *self._wrong_life(writes, found)]

    def _lost_values(self, writes: Sequence[Write], found: Found) -> Iterable[str]:
        for write in writes:
            for path, value in write.values.items():
                if _is_judged_apart(path):
                    continue
                kept = found.fields.get(path, ())
                place = next((one for one in kept if holds(path, value, one, write)), _NOTHING)
                if place is _NOTHING:
                    if not self._is_replaced(write, path, writes):
                        yield f"{write}: {path} is nowhere; kept is {list(kept)}"
                elif len(kept) > 1 and not found.is_deleted and path not in found.conflict_paths:
                    yield f"{write}: {path} stands beside others, and no conflict says so"

    def _is_replaced(self, write: Write, path: str, writes: Sequence[Write]) -> bool:
        if any(replaces(other, write, path) for other in writes):
            return True
        return path == "completion" and any(
            one is not write and went_on_from_alike(one, write) for one in writes
        )

    def _wrong_life(self, writes: Sequence[Write], found: Found) -> Iterable[str]:
        life = [one for one in writes if one.op in ("delete", "restore")]
        current = [one for one in life if not any(one.number in other.seen for other in life)]
        deletes = [one for one in current if one.op == "delete"]
        unseen = [
            (write, path)
            for write in writes
            for path in write.values
            if not any(one.saw(write.number, path) for one in deletes)
            and self._is_current(write, path, writes)
        ]
        disputed = bool(deletes) and (len(deletes) < len(current) or bool(unseen))
        if found.is_deleted and (not deletes or disputed):
            why = [str(one) for one in current if one.op == "restore"] + [
                f"{one} ({path})" for one, path in unseen
            ]
            yield f"it is deleted, in spite of {why}"
        if disputed and "life" not in found.conflict_paths and not found.is_deleted:
            yield "nobody is told that it was deleted here and kept there"
        if deletes and not disputed and not found.is_deleted and not any(one.seen_in_text for one in deletes):
            yield f"it is alive, in spite of {[str(one) for one in deletes]}"

    def _is_current(self, write: Write, path: str, writes: Sequence[Write]) -> bool:
        if path.startswith("tags/") and write.values[path] is None:
            return False
        return not any(other.touches(path) and other.saw(write.number, path) for other in writes)


_NOTHING = object()


def is_alive(write: Write) -> bool:
    """Whether it was neither rejected nor set aside."""
    return write.fate in ("pending", "accepted")


def _is_judged_apart(path: str) -> bool:
    return path in TEXTS or path == "cost" or path.startswith("tags/")


def replaces(other: Write, write: Write, path: str) -> bool:
    """Whether `other` is somebody who had `write` on the screen and put something else in its place."""
    if write.number not in other.seen or not other.touches(path):
        return False
    if other.op == "resolve":
        return True
    if path == "serial" and write.values[path] is not None and other.values[path] != write.values[path]:
        return False
    if path in other.beside:
        return holds(path, write.values[path], other.before.get(path), write)
    return True


def _wrong_count(writes: Sequence[Write], found: Found) -> Iterable[str]:
    total = 0
    for write in writes:
        if "cost" in write.values:
            value, was = write.values["cost"], write.before.get("cost") or 0
            assert isinstance(value, int)
            assert isinstance(was, int)
            total += value - was
    counted = found.fields.get("cost", [0])
    if list(counted) != [total]:
        yield f"the count is {list(counted)}, and {total} was counted"


def _wrong_tags(writes: Sequence[Write], found: Found) -> Iterable[str]:
    paths = {path for write in writes for path in write.values if path.startswith("tags/")}
    for path in sorted(paths):
        adds = [one for one in writes if one.values.get(path) is True]
        removals = [one for one in writes if path in one.values and one.values[path] is None]
        is_there = any(not any(add.number in removal.seen for removal in removals) for add in adds)
        if is_there != (path in found.fields):
            yield f"{path} is {'gone' if is_there else 'there'}: {[str(one) for one in (*adds, *removals)]}"


def _wrong_text(path: str, writes: Sequence[Write], found: Found) -> Iterable[str]:
    typed = [(write, write.texts[path]) for write in writes if path in write.texts]
    kept = [str(one) for one in found.fields.get(path, ())]
    doubled = [mark for text in kept for mark, times in Counter(text).items() if times > 1 and mark != " "]
    if doubled:
        yield f"{path}: {doubled} are doubled in {kept}"
    there = {mark for text in kept for mark in text} - {" "}
    removed = {mark: write for write, one in typed for mark in one.removed}
    added = {mark: write for write, one in typed for mark in one.added}
    for mark, write in added.items():
        if mark not in there and mark not in removed:
            yield f"{path}: {mark!r} of {write} is nowhere in {kept}"
    back = {mark for _, one in typed for mark in one.brought_back}
    for mark, write in removed.items():
        if len(kept) == 1 and mark in there and mark not in back:
            yield f"{path}: {mark!r}, removed by {write}, is back in {kept}"
    for mark in there - set(added) - {mark for _, one in typed for mark in one.may_add}:
        yield f"{path}: nobody typed {mark!r} of {kept}"
    if len(kept) > 1 and path == "log":
        yield f"{path}: it always merges, and is in conflict: {kept}"
