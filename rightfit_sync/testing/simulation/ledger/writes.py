"""What one person did to one record, as the ledger remembers it.

Within a record every write has a *place*, 0, 1, 2, …; "these writes" is an integer whose bit `place` is set. So who
had seen whom is a bit set, united and compared in one step.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

Key = tuple[str, str]
"""`(kind, entity_id)`."""

Json = object
"""Any JSON value."""

AUTHORITY = "authority"
"""Who writes what nobody typed: cascades, references set to null, analyses."""


@dataclass(slots=True)
class Typed:
    """What one write did to one text: the characters added and taken away on that screen.

    `brought_back` are characters typed earlier that it shows again, `may_add` those that it may say a second time.
    """

    added: frozenset[str]
    removed: frozenset[str]
    brought_back: frozenset[str] = frozenset()
    may_add: frozenset[str] = frozenset()


@dataclass(slots=True)
class Write:
    """One thing that a person (or the authority) did to one record.

    `values` is what was typed, by path; `before` what the screen had shown there; `beside` the paths that were in
    conflict on the screen; `seen` the writes that it showed, and `seen_in_text` those of a text that stood still;
    `says_again` the refused write that it is another try of; `given_up` those that had left the screen, refused.
    """

    number: int
    place: int
    who: str
    key: Key
    op: str
    values: Mapping[str, Json] = field(default_factory=dict)
    before: Mapping[str, Json] = field(default_factory=dict)
    texts: Mapping[str, Typed] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    transaction: str | None = None
    planted: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    seen: int = 0
    seen_in_text: dict[str, int] = field(default_factory=dict)
    stands_for: int = 0
    says_again: int = 0
    given_up: int = 0
    is_dealt_with: bool = False
    is_destroyed: bool = False
    is_told_twice: bool = False
    was_refused: bool = False
    was_recognised: bool = False
    by_rule: bool = False
    fate: str = "pending"
    code: str = ""

    @property
    def bit(self) -> int:
        """The set that holds this write alone."""
        return 1 << self.place

    @property
    def seen_throughout(self) -> int:
        """What every part of the screen showed, texts that stood still included."""
        return reduce(and_, self.seen_in_text.values(), self.seen)

    @property
    def is_alive(self) -> bool:
        """Whether it was neither rejected nor given up, under any of its names."""
        return self.fate in ("pending", "accepted", "lost") and not self.was_refused

    def touches(self, path: str) -> bool:
        """Whether it wrote at `path`, or removed the list item that `path` lies in."""
        if path in self.values:
            return True
        item, is_inner, _ = path.rpartition("/")
        return bool(is_inner) and item.partition("/")[0] in self.lists and self.removes(item)

    def removes(self, item: str) -> bool:
        """Whether it took the list item at the path `item` away."""
        return item in self.values and self.values[item] is None

    def saw(self, other: "Write", path: str) -> bool:
        """Whether the screen showed that other write; a text with unsent edits shows what it began with."""
        return bool(self.seen_in_text.get(path, self.seen) & other.bit)

    def __str__(self) -> str:
        kind, entity_id = self.key
        said = f" {dict(self.values)}" if self.values else ""
        why = f" ({self.code})" if self.code else ""
        return f"#{self.number} {self.who}: {self.op} {kind}/{entity_id}{said}, {self.fate}{why}"


def hidden(writes: Iterable[Write]) -> list[Write]:
    """Return those of a record's writes that were given up or refused, and what their authors had built on them.

    All of that left the screen at once, and may have been accepted nevertheless.
    """
    found: list[Write] = []
    for one in writes:
        if one.was_refused or any(one.who == other.who and share(one, other) for other in found):
            found.append(one)
    return found


def share(left: Write, right: Write) -> bool:
    """Whether both write at some path, or one removes what the other writes into."""
    return any(right.touches(path) for path in left.values) or any(
        left.touches(path) for path in right.values
    )


def places(bits: int) -> Iterator[int]:
    """Yield the places of a set, in order."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
