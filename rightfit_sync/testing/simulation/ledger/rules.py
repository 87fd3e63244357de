"""What becomes of a value under each merge word: told from the schema as JSON, in the words of the semantics.

`Rules.of(kind, path)` names the rule of a path; `Rule.holds(value, kept, was)` says whether whoever typed `value`
(where the screen had shown `was`) finds it again in `kept`. Nothing here merges anything. A merge word that the ledger
does not know is an application's own: it may bring a `holds` of its own, else such a path is *unjudged* where a value
was written beside another. Source: docs/explanation/semantics.md, section 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import cast

from rightfit_sync.testing.simulation.ledger.writes import Json

Holds = Callable[[Json, Json], bool]
"""`holds(value, kept)`: whether who typed `value` finds it in `kept`."""

PLAIN = frozenset({"register", "server", "once", "set", "counter", "text"})
CONTAINERS = frozenset({"set", "map", "keyed_list"})
KNOWN = PLAIN | CONTAINERS | {"maximum", "minimum", "workflow"}

Spec = Mapping[str, object]
"""One field of the schema, as JSON."""


@dataclass(frozen=True)
class Rule:
    """The rule of one path. `word` is the declared merge word; a group with a lead has the word `group`."""

    word: str = "register"
    always_merges: bool = False
    reach: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lead: str = ""
    lead_rule: "Rule | None" = None
    own: Holds | None = None

    @property
    def is_known(self) -> bool:
        """Whether the ledger can judge what becomes of two values that were written beside each other."""
        return self.own is not None or self.word == "group" or self.word in KNOWN

    def keeps_furthest(self, value: Json, other: Json) -> bool:
        """Whether the further of these two stays, although whoever wrote `other` had seen `value`."""
        if self.word not in ("maximum", "minimum"):
            return False
        return is_beyond(value, other, greatest=True) or is_beyond(other, value, greatest=True)

    def holds(self, value: Json, kept: Json, was: Json = None) -> bool:
        """Whether `value` can be found in `kept`."""
        if same(value, kept):
            return True
        if self.own is not None:
            return self.own(value, kept)
        if self.word in ("maximum", "minimum"):
            return is_beyond(kept, value, greatest=self.word == "maximum")
        if self.word == "workflow":
            return kept in self.reach.get(str(value), ()) and value not in self.reach.get(str(kept), ())
        return self.word == "group" and self._group_holds(value, kept, was)

    def _group_holds(self, value: Json, kept: Json, was: Json) -> bool:
        """The winner may swallow a loser that had changed nothing but the lead, or the same as the winner."""
        if not isinstance(value, Mapping) or not isinstance(kept, Mapping) or self.lead_rule is None:
            return False
        known = was if isinstance(was, Mapping) else {}
        lead = self.lead
        if not (self.lead_rule.holds(value[lead], kept[lead]) or same(value[lead], known.get(lead))):
            return False
        return all(
            same(value[name], kept[name]) or same(value[name], known.get(name))
            for name in value
            if name != lead
        )

    def went_on_from_alike(self, value: Json, was: Json, now: Json) -> bool:
        """Whether who turned the group `was` into `now` has seen the equal names in `value`, typed by another hand."""
        if self.lead_rule is None or not all(isinstance(one, Mapping) for one in (value, was, now)):
            return False
        mine, theirs, after = (cast("Mapping[str, Json]", one) for one in (value, was, now))
        lead = self.lead
        alike = all(same(mine[name], theirs[name]) for name in mine if name != lead)
        return alike and (same(mine[lead], theirs[lead]) or self.lead_rule.holds(mine[lead], after[lead]))


def same(left: Json, right: Json) -> bool:
    """Whether two JSON values are one; a boolean is never a number."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def number(value: Json) -> Decimal | None:
    """Return the number that `value`, a number or its digits, stands for, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def is_beyond(kept: Json, value: Json, *, greatest: bool) -> bool:
    """Whether `kept` is at least (at most) `value`."""
    left, right = number(kept), number(value)
    if left is not None and right is not None:
        return left >= right if greatest else left <= right
    if isinstance(kept, str) and isinstance(value, str):
        return kept >= value if greatest else kept <= value
    return False


_REGISTER = Rule()


class Rules:
    """The rules of a schema, given as JSON; `holds` are an application's own, by merge word."""

    def __init__(self, schema: Spec, holds: Mapping[str, Holds] | None = None) -> None:
        self._kinds = cast("Mapping[str, Spec]", schema["kinds"])
        self._holds = holds or {}
        self._found: dict[tuple[str, str], Rule] = {}

    def kind(self, name: str) -> Spec:
        """Return the declaration of a kind; empty for an unknown one."""
        return self._kinds.get(name, {})

    def lists(self, kind: str) -> frozenset[str]:
        """Return the fields of a kind that are keyed lists."""
        return frozenset(
            name for name, spec in self._fields(kind).items() if spec.get("merge") == "keyed_list"
        )

    def references(self, kind: str) -> Mapping[str, Mapping[str, str]]:
        """Return `{field: {"kind", "on_delete"}}`."""
        return cast("Mapping[str, Mapping[str, str]]", self.kind(kind).get("references", {}))

    def restricts(self, kind: str) -> bool:
        """Whether some kind refers to this one with `restrict`."""
        held = (one for holder in self._kinds for one in self.references(holder).values())
        return any(one["kind"] == kind and one.get("on_delete", "restrict") == "restrict" for one in held)

    def groups(self, kind: str) -> Mapping[str, Spec]:
        """Return the merge groups of a kind."""
        return cast("Mapping[str, Spec]", self.kind(kind).get("groups", {}))

    def invariants(self, kind: str) -> Mapping[str, Spec]:
        """Return the invariants of a kind."""
        return cast("Mapping[str, Spec]", self.kind(kind).get("invariants", {}))

    def of(self, kind: str, path: str) -> Rule:
        """Return the rule of a path."""
        found = self._found.get((kind, path))
        if found is None:
            found = self._found[kind, path] = self._rule(kind, path)
        return found

    def _fields(self, kind: str) -> Mapping[str, Spec]:
        return cast("Mapping[str, Spec]", self.kind(kind).get("fields", {}))

    def _rule(self, kind: str, path: str) -> Rule:
        group = self.groups(kind).get(path)
        if group is not None:
            lead = cast("str | None", group.get("lead"))
            if lead is None:
                return _REGISTER
            return Rule("group", lead=lead, lead_rule=self._plain(self._fields(kind)[lead]))
        name, *rest = path.split("/")
        spec = self._fields(kind).get(name)
        if spec is None:
            return _REGISTER
        if spec.get("merge") not in CONTAINERS:
            return self._plain(spec)
        if spec["merge"] == "set":
            return Rule("set")
        inner = cast("Mapping[str, Spec]", spec.get("fields", {})).get(rest[-1])
        if spec["merge"] == "map":
            inner = inner or cast("Spec | None", spec.get("element"))
        elif len(rest) == 1:
            inner = None
        return _REGISTER if inner is None else self._plain(inner)

    def _plain(self, spec: Spec) -> Rule:
        word = str(spec.get("merge", "register"))
        transitions = cast("Mapping[str, Sequence[str]]", spec.get("transitions", {}))
        return Rule(
            word,
            always_merges=word == "counter" or (word == "text" and spec.get("on_overlap") == "merge"),
            reach={state: reachable(transitions, state) for state in transitions},
            own=self._holds.get(word),
        )


def reachable(transitions: Mapping[str, Sequence[str]], start: str) -> frozenset[str]:
    """Return every state that a workflow may come to from `start`."""
    reached, waiting = set[str](), [start]
    while waiting:
        for state in transitions.get(waiting.pop(), ()):
            if state not in reached:
                reached.add(state)
                waiting.append(state)
    return frozenset(reached)


def broken(rule: str, values: Sequence[Json], options: Mapping[str, Json]) -> bool | None:
    """Whether these values break an invariant; None where the ledger does not know the rule."""
    if rule == "ordered":
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if isinstance(value, int | float)]
        return texts != sorted(texts) or numbers != sorted(numbers)
    there = [value is not None for value in values]
    if rule == "requires":
        when = options.get("when")
        asks = values[0] in when if isinstance(when, list | tuple) else there[0]
        return asks and not all(there[1:])
    return sum(there) > 1 if rule == "at_most_one" else None
