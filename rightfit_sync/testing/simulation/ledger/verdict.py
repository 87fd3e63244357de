"""What must be true of one record in the end: each write visible, superseded, in conflict, and nothing invented.

A value is *visible* if some kept value holds it, *superseded* if somebody who had it on the screen put something else
in its place, *in conflict* if it stands beside others and a conflict says so. Texts are told apart by their letters,
each of which is typed once only in a history; counters by their sum; elements of sets by who had seen which addition.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightfit_sync.testing.simulation.ledger.book import Record
from rightfit_sync.testing.simulation.ledger.rules import Rule, Rules, number, same
from rightfit_sync.testing.simulation.ledger.writes import AUTHORITY, Json, Key, Write, hidden


@dataclass
class Found:
    """What was found at the authority, for one record: siblings by path, what an app sees, open conflicts."""

    fields: Mapping[str, Sequence[Json]]
    is_deleted: bool = False
    conflicts: Sequence[tuple[str, str]] = ()
    view: Mapping[str, Json] = field(default_factory=dict)

    def lists(self, path: str) -> bool:
        """Whether some open conflict is about `path`."""
        return any(one == path for one, _ in self.conflicts)


class Verdict:
    """Judges one record. `states` counts what became of each value, `problems` are sentences."""

    def __init__(self, record: Record, found: Found, rules: Rules) -> None:
        self.record = record
        self.found = found
        self.states: Counter[str] = Counter()
        self.problems: list[str] = []
        self._rules = rules
        self._writes = record.these(record.taken)
        self._by_path: dict[str, list[Write]] = {}
        for write in self._writes:
            for path in write.values:
                self._by_path.setdefault(path, []).append(write)

    @property
    def key(self) -> Key:
        """The record's name."""
        return self.record.key

    def judge(self) -> "Verdict":
        """Find everything that is wrong."""
        for path, writes in self._by_path.items():
            rule = self._rules.of(self.key[0], path)
            if rule.word == "set":
                self.problems += self._wrong_element(path, writes)
            elif rule.word == "counter":
                self.problems += [*self._wrong_count(path, writes), *self._merged(path)]
            elif rule.word == "text":
                self.problems += [*self._wrong_text(path, rule, writes), *self._merged(path)]
            else:
                self._judge_values(path, rule, writes)
        self.problems += self._wrong_life()
        self.problems += self._said_twice()
        return self

    def _said_twice(self) -> Iterator[str]:
        """Tell of what was tried again and counts beside its first try (a restore may have taken that in between)."""
        for write in self._writes if not self.record.was_lost else ():
            for first in self.record.these(write.says_again & self.record.taken):
                if write.fate == first.fate == "accepted":
                    yield f"{write}: it says {first} again, and both were accepted"

    def touching(self, path: str) -> list[Write]:
        """Return the writes at `path`, and those that removed the item that it lies in."""
        item, is_inner, _ = path.rpartition("/")
        above = self._by_path.get(item, []) if is_inner else []
        return [
            *self._by_path.get(path, ()),
            *(one for one in above if path not in one.values and one.touches(path)),
        ]

    # Plain values

    def _judge_values(self, path: str, rule: Rule, writes: Sequence[Write]) -> None:
        kept = self.found.fields.get(path, ())
        for write in writes:
            if not self._is_found(path, rule, write, kept):
                self._judge_absent(path, rule, write, kept)
            elif len(kept) == 1:
                self.states["visible"] += 1
            elif self.found.is_deleted or self.found.lists(path):
                self.states["in conflict"] += 1
            else:
                self.problems.append(f"{write}: {path} stands beside others, and no conflict says so")

    def _is_found(self, path: str, rule: Rule, write: Write, kept: Sequence[Json]) -> bool:
        """Whether a value is among those kept, or inside one of them, where it may have merged."""
        value = write.values[path]
        if self._never_merges(write, path) and not self._is_carried_on(write, path, rule):
            return any(same(value, one) for one in kept)
        return any(rule.holds(value, one, write.before.get(path)) for one in kept)

    def _is_carried_on(self, write: Write, path: str, rule: Rule) -> bool:
        """Whether a plain edit, which merges, has gone on from it with something that does not reach as far."""
        return any(
            other.op != "resolve"
            and bool(other.seen & write.bit)
            and path in other.values
            and rule.keeps_furthest(write.values[path], other.values[path])
            for other in self._by_path[path]
        )

    def _judge_absent(self, path: str, rule: Rule, write: Write, kept: Sequence[Json]) -> None:
        if self.is_replaced(write, path, rule) or self._was_known(write, path, rule):
            self.states["superseded"] += 1
        elif not rule.is_known and len(self.touching(path)) > 1:
            self.states["unjudged"] += 1
        elif write.who == AUTHORITY and self.record.is_joined:
            # Between a restore that nobody told of and its discovery the authority gives its own writes old names.
            self.states["unjudged"] += 1
        else:
            self.problems.append(f"{write}: {path} is nowhere; kept is {list(kept)}")

    def is_replaced(self, write: Write, path: str, rule: Rule) -> bool:
        """Whether somebody who had `write` on the screen put something else in its place."""
        if any(replaces(other, write, path, rule) for other in self.touching(path)):
            return True
        return rule.word == "group" and any(
            one is not write
            and path in one.values
            and rule.went_on_from_alike(write.values[path], one.before.get(path), one.values[path])
            for one in self._by_path[path]
        )

    def _was_known(self, write: Write, path: str, rule: Rule) -> bool:
        """Whether it is another try of what had arrived after all, and somebody who had seen that replaced it."""
        firsts = self.record.these(write.says_again & self.record.taken) if write.fate == "duplicate" else ()
        return any(
            same(one.values.get(path), write.values[path]) and self.is_replaced(one, path, rule)
            for one in firsts
        )

    # Sums, sets, texts

    def _never_merges(self, write: Write, path: str) -> bool:
        """Whether it settled a conflict, or made a record that another hand made too (and nobody wrote the same)."""
        creates = [one for one in self._by_path[path] if one.op == "create"]
        alike = [one for one in self._by_path[path] if same(one.values[path], write.values[path])]
        return write.op == "resolve" or (write in creates and len(creates) > len(alike) == 1)

    def _merged(self, path: str) -> Iterator[str]:
        """Tell of what merges with nothing, was seen by nobody who wrote after it, and is not as it was written."""
        kept = self.found.fields.get(path, ())
        for write in self._by_path[path]:
            is_seen = any(other.seen & write.bit for other in self.touching(path))
            is_there = any(same(write.values[path], one) for one in kept)
            if self._never_merges(write, path) and not is_seen and not is_there:
                yield f"{write}: it never merges, nobody who saw it wrote at {path}, and kept is {list(kept)}"

    def _is_beyond_sums(self, path: str, writes: Sequence[Write]) -> bool:
        """Whether a person has settled it, or emptied it: then the last word counts, not the sum.

        So it does where a screen had counted something twice, because a retry turned out to have arrived before, or
        not at all, because its author had given it up.
        """
        again = any(
            (one.fate == "duplicate" or one.was_refused) and path in one.values for one in self.record.writes
        )
        plain = all(number(one.values[path]) is not None and one.op != "resolve" for one in writes)
        return again or not plain or _creates(writes) > 1 or len(self.touching(path)) > len(writes)

    def _wrong_count(self, path: str, writes: Sequence[Write]) -> Iterator[str]:
        kept = self.found.fields.get(path, ())
        if self._is_beyond_sums(path, writes) or (self.record.is_joined and len(kept) > 1):
            self.states["unjudged"] += len(writes)
            return
        total = sum((number(one.values[path]) or 0) - (number(one.before.get(path)) or 0) for one in writes)
        if len(kept) != 1 or number(kept[0]) != total:
            yield f"{path}: the count is {list(kept)}, and {total} was counted by {_listed(writes)}"
        self.states["visible"] += len(writes)

    def _wrong_element(self, path: str, writes: Sequence[Write]) -> Iterator[str]:
        adds = [one for one in writes if one.values[path] is not None]
        removed = 0
        for one in writes:
            removed |= one.seen if one.values[path] is None else 0
        there = [add for add in adds if not add.bit & removed]
        # Who had taken it away, and was refused, did not see the first one when taking a second one away.
        is_blind = any(one.was_refused and one.values.get(path, True) is None for one in self.record.writes)
        if bool(there) != (path in self.found.fields) and not is_blind:
            yield f"{path} is {'gone' if there else 'there'}: {_listed(writes)}"
        self.states["visible"] += len(there) + len(writes) - len(adds)
        self.states["superseded"] += len(adds) - len(there)

    def _wrong_text(self, path: str, rule: Rule, writes: Sequence[Write]) -> Iterator[str]:
        kept = [str(one or "") for one in self.found.fields.get(path, ())]
        there = {mark for text in kept for mark in text} - {" "}
        gone = {mark for one in writes if path in one.texts for mark in one.texts[path].removed}
        emptied = [one for one in self.touching(path) if one.values.get(path) is None]
        given_up = hidden(self.record.writes)
        for write in writes:
            typed = write.texts.get(path)
            missing = typed.added - there - gone if typed is not None else frozenset()
            # Who gives up what had arrived after all, and types on, has replaced it.
            is_given_up = write in given_up and any(_is_later(other, write) for other in writes)
            if missing and not is_given_up and not any(other.saw(write, path) for other in emptied):
                yield f"{path}: {sorted(missing)} of {write} are nowhere in {kept}"
            is_left = typed is None or not typed.added or bool(typed.added & there)
            self.states["superseded" if not is_left else "visible" if len(kept) < 2 else "in conflict"] += 1
        yield from self._invented(path, writes, kept, there)
        merges = rule.always_merges and _creates(writes) < 2
        if len(kept) > 1 and merges and not self.record.is_joined and not emptied:
            yield f"{path}: it always merges, and is in conflict: {kept}"

    def _invented(
        self, path: str, writes: Sequence[Write], kept: Sequence[str], there: set[str]
    ) -> Iterator[str]:
        typed = [one.texts[path] for one in writes if path in one.texts]
        # Another try says once more what others may have built on, also where it turns out to have arrived before.
        tries = [one.texts[path] for one in self.record.writes if path in one.texts]
        anew = {mark for one in tries for mark in one.may_add}
        doubled = [
            mark
            for text in kept
            for mark, times in Counter(text).items()
            if times > 1 and mark not in anew | {" "}
        ]
        if doubled:
            yield f"{path}: {doubled} are doubled in {kept}"
        known = anew.union(*(one.added for one in typed), self._gone_on_from(path, writes))
        unknown = there - known
        if unknown:
            yield f"{path}: nobody typed {sorted(unknown)} of {kept}"
        # What was refused once, and came in late or was said again, meets a text from which it was taken meanwhile.
        tried = (one for one in writes if (one.was_refused or one.says_again) and path in one.texts)
        late = (one.texts[path].added for one in tried)
        back = {mark for one in typed for mark in one.brought_back}.union(*late)
        if len(kept) == 1:
            # Who settles a conflict takes a whole text away, with what somebody else goes on from unseen. What was
            # given up, or went with its item, and counts no more, takes nothing away; nor is it certain what those do
            # who go on from a text that they had given up.
            emptied = [one for one in self.touching(path) if one.values.get(path) is None]
            gone_on = hidden(self.record.writes)
            for write in (one for one in writes if one.op != "resolve" and one not in gone_on):
                if any(one.saw(write, path) for one in emptied):
                    continue
                again = (write.texts[path].removed if path in write.texts else frozenset()) & there - back
                if again:
                    yield f"{path}: {sorted(again)}, removed by {write}, are back in {kept}"

    def _gone_on_from(self, path: str, writes: Sequence[Write]) -> set[str]:
        """Return the letters of refused writes that their author's screen still showed when going on from them.

        A restored authority does not know that it had refused them, and takes in what was built on them.
        """
        refused = [one for one in self.record.writes if one.was_refused and path in one.texts]
        return {
            mark
            for first in refused
            for one in writes
            if _is_later(one, first)
            for mark in first.texts[path].added & set(str(one.values.get(path) or ""))
        }

    # Life

    def _wrong_life(self) -> Iterable[str]:
        life = [one for one in self._writes if one.op in ("delete", "restore")]
        if not life:
            return [] if not self.found.is_deleted else ["it is deleted, and nobody deleted it"]
        current = [one for one in life if not any(_outlived(one, other) for other in life)]
        if self.record.is_joined:
            current = [one for one in current if not _is_of_lost_past(one, life)]
        deletes = [one for one in current if one.op == "delete"]
        # What an earlier delete had seen counts as long as nobody took that back: a later one may have seen less, since
        # a text stood still on its screen.
        standing = [
            one for one in life if one.op == "delete" and not any(_takes_back(one, it) for it in life)
        ]
        unseen = self._unseen_by(standing) if deletes else []
        disputed = bool(deletes) and (len(deletes) < len(current) or bool(unseen))
        self.states["in conflict" if disputed else "visible"] += len(current)
        self.states["superseded"] += len(life) - len(current)
        return self._life_problems(current, deletes, unseen, disputed=disputed)

    def _life_problems(
        self, current: Sequence[Write], deletes: Sequence[Write], unseen: Sequence[str], *, disputed: bool
    ) -> Iterator[str]:
        found = self.found
        by_rule = self._rules.kind(self.key[0]).get("on_delete_conflict") == "delete"
        # What came while a text stood still, and a write that was refused once, need not count as seen.
        frozen = bool(self._unknown_to(deletes)) or any(one.was_refused for one in self._writes)
        # What its author had given up, and restored, came in late: a conflict says so.
        is_late = any(one.op == "delete" and one.was_refused for one in self._writes) and found.lists("life")
        if found.is_deleted and (not (deletes or is_late) or (disputed and not by_rule)):
            why = [str(one) for one in current if one.op == "restore"] + list(unseen)
            yield f"it is deleted, in spite of {why}"
        if disputed and not found.lists("life") and not (found.is_deleted and not by_rule):
            yield f"nobody is told that it was deleted here and kept there: {[*map(str, deletes), *unseen]}"
        if (
            deletes
            and (by_rule or not disputed)
            and not found.is_deleted
            and not (frozen and found.lists("life"))
        ):
            yield f"it is alive, in spite of {[str(one) for one in deletes]}"

    def _unseen_by(self, deletes: Sequence[Write]) -> list[str]:
        """Return what stands in a field and no delete had seen."""
        return [
            f"{write} ({path})"
            for path, writes in self._by_path.items()
            if self._rules.of(self.key[0], path).word != "server"
            for write in writes
            if not any(_knew(one, write, path) for one in deletes) and self._is_current(write, path)
        ]

    def _unknown_to(self, deletes: Sequence[Write]) -> list[Write]:
        """Return what came after some text began to stand still on the screen of each delete.

        That is what stands in a field, and who brought the record back.
        """
        found = [
            write
            for path, writes in self._by_path.items()
            for write in writes
            if self._is_current(write, path)
        ]
        found += [one for one in self._writes if one.op == "restore"]
        return [write for write in found if not any(one.seen_throughout & write.bit for one in deletes)]

    def _is_current(self, write: Write, path: str) -> bool:
        if write.values[path] is None and self._rules.of(self.key[0], path).word == "set":
            return False
        return not any(other.saw(write, path) for other in self.touching(path))


def _takes_back(delete: Write, other: Write) -> bool:
    """Whether the restore `other` took `delete` back for certain.

    Its author may have been asked to look whether it still does, or have seen less, since a text stood still.
    """
    if other.op != "restore" or other.is_told_twice or not _outlived(delete, other):
        return False
    return bool(other.seen_throughout & delete.bit) or delete.was_refused


def _is_later(other: Write, write: Write) -> bool:
    """Whether `other` is of the same author, and later."""
    return other.who == write.who and write.number < other.number


def _outlived(write: Write, other: Write) -> bool:
    """Whether `other` saw the delete or restore `write`, or its author made it after giving that very one up."""
    return bool(other.seen & write.bit) or (_is_later(other, write) and write.was_refused)


def _is_of_lost_past(write: Write, life: Sequence[Write]) -> bool:
    """Whether it is a delete of the authority's own, and whoever took a later one back could not tell them apart.

    Until somebody notices a restore, the authority goes on under the same name in both pasts.
    """
    later = [one for one in life if one.who == AUTHORITY == write.who and one.number > write.number]
    return any(other.op == "restore" and any(other.seen & one.bit for one in later) for other in life)


def _knew(other: Write, write: Write, path: str) -> bool:
    """Whether `other` saw `write`, or its author had given that very write up before (and it had arrived after all).

    So had whoever went on from a copy of that author's disk.
    """
    is_given_up = _is_later(other, write) or bool(other.given_up & write.bit)
    return other.saw(write, path) or (is_given_up and write.was_refused)


def replaces(other: Write, write: Write, path: str, rule: Rule) -> bool:
    """Whether `other` is somebody who had `write` on the screen and put something else in its place."""
    if not other.seen & write.bit:
        return False
    if other.op == "resolve":
        return True
    value = write.values[path]
    is_item_gone = path not in other.values
    if rule.word == "once" and value is not None and not is_item_gone and not same(other.values[path], value):
        return False
    if rule.keeps_furthest(value, other.values.get(path)):
        return rule.holds(value, other.values.get(path))
    return rule.holds(value, other.before.get(path), write.before.get(path))


def _creates(writes: Sequence[Write]) -> int:
    """Return how often a record was made with a value here; two that were made apart never merge."""
    return sum(one.op == "create" for one in writes)


def _listed(writes: Sequence[Write]) -> list[str]:
    return [str(one) for one in writes]
