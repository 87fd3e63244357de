"""What people do: plausible values for every field of a schema, by its merge policy and type.

Each letter that is typed into a text is typed once only in a whole history, so that the ledger can tell one from
another: a run of Hangul syllables is one word, and where edits of one text always merge every ideograph is a word of
its own (what a word that two people have rewritten was made of is not told by the texts alone).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random

from rightfit_sync.paths import escape, unescape
from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.testing.simulation.scenario import Scenario, audience_fields, first_ids, pool
from rightfit_sync.values import Value
from rightfit_sync.view import shown

FORBIDDEN = "forbidden"
"""A word that the simulated application refuses: planted, to see what becomes of a rejected change."""

POISON = "poison"
"""A word that the simulated application's rule stumbles over: planted, to see that nothing waits behind it."""

NOWHERE = "nowhere"
"""The id of something that never was."""

PLANTED: Mapping[str, str] = {FORBIDDEN: "forbidden", POISON: "internal_error", NOWHERE: "unknown_reference"}
"""Words that are planted, with the code of the rejection that must follow."""

_FIRST_LETTER, _LETTERS = 0xAC00, 11_172
_FIRST_IDEOGRAPH, _IDEOGRAPHS = 0x20000, 42_720
_STATES = ("red", "blue")
_CLEARABLE = frozenset({"register", "workflow"})
_OFTEN = frozenset({"text", "set", "keyed_list"})

Ids = Callable[[str], Sequence[str]]
"""Given a kind: the ids of what a device shows of it."""


class Workload:
    """Draws what is typed. One per world: it remembers which letters have been used."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._made = 0
        self._letters = 0
        self._ideographs = 0

    def fresh_id(self, kind: str, who: str) -> str:
        """Return the id of a new entity."""
        self._made += 1
        return f"{kind}-{who}-{self._made}"

    def born(self, random: Random, kind: str, schema: Schema, ids: Ids, place: int = 0) -> dict[str, Value]:
        """Return what a new entity of `kind` begins with."""
        spec, wanted = schema.kinds[kind], dict[str, Value]()
        for name, field in spec.fields.items():
            if field.merge == "set":
                wanted[f"{name}/{self._element(random, field)}"] = True
            elif field.merge == "keyed_list":
                wanted[f"{name}/1"] = "V"
            elif field.merge not in ("map", "server", "once") and name not in _members(spec):
                wanted[name] = self._first_value(random, name, field, spec, ids, place)
        return wanted

    def _first_value(
        self, random: Random, name: str, field: FieldSpec, kind: KindSpec, ids: Ids, place: int
    ) -> Value:
        if name in kind.references:
            known = ids(kind.references[name].kind)
            return known[place % len(known)] if known else None
        if name in audience_fields(kind):
            choices = pool(kind, name)
            return choices[place % len(choices)]
        return self._value(random, field, None)

    def edited(self, random: Random, entity: Entity, schema: Schema, ids: Ids) -> dict[str, Value]:
        """Return what somebody wants of one entity: `{path: value}` for a field, an element or a group or two."""
        kind, wanted = schema.kinds[entity.kind], dict[str, Value]()
        groups = list(kind.groups)
        fields = [
            name
            for name, spec in kind.fields.items()
            if spec.merge != "server" and name not in _members(kind)
        ]
        fields += [name for name in fields if kind.fields[name].merge in _OFTEN]
        for _ in range(random.choice([1, 1, 1, 2])):
            name = random.choice([*fields, *groups])
            path, value = self._at(random, name, kind, entity, ids)
            wanted[path] = value
        return wanted

    def beside(self, random: Random, entity: Entity, path: str, schema: Schema, ids: Ids) -> dict[str, Value]:
        """Return what somebody else wants at a `path` where one has just written."""
        kind, (name, *inside) = schema.kinds[entity.kind], path.split("/")
        if name not in kind.fields and name not in kind.groups:
            return {}
        spec, was = kind.fields.get(name, FieldSpec(type="json")), shown_at(entity, path)
        if spec.merge == "text":
            return {path: self._edited(random, str(was or ""), whole=spec.on_overlap == "merge", at_end=True)}
        if not inside:
            return dict([self._at(random, name, kind, entity, ids)])
        if spec.merge == "set":
            return {path: None if path in entity.fields else True}
        if spec.merge == "keyed_list" and len(inside) == 1:
            return {path: random.choice([None, "A", "z"])}
        inner = spec.fields.get(unescape(inside[-1])) or spec.element or FieldSpec(type="str")
        return {path: self._value(random, inner, was)}

    def _at(self, random: Random, name: str, kind: KindSpec, entity: Entity, ids: Ids) -> tuple[str, Value]:
        if name in kind.groups:
            was = shown_at(entity, name)
            known = was if isinstance(was, Mapping) else {}
            members = kind.groups[name].members
            return name, {one: self._value(random, kind.fields[one], known.get(one)) for one in members}
        spec = kind.fields[name]
        if spec.merge == "set":
            path = f"{name}/{self._element(random, spec)}"
            return path, None if path in entity.fields else True
        if spec.merge == "map":
            return self._key(random, name, spec, entity)
        if spec.merge == "keyed_list":
            return self._item(random, name, spec, entity)
        return name, self._plain(random, name, kind, entity, ids)

    def _plain(self, random: Random, name: str, kind: KindSpec, entity: Entity, ids: Ids) -> Value:
        spec = kind.fields[name]
        if name in kind.references:
            if random.random() < 0.06:
                return NOWHERE
            return random.choice([*ids(kind.references[name].kind), None])
        if name in audience_fields(kind):
            return random.choice([*pool(kind, name)])
        if spec.merge in _CLEARABLE and random.random() < 0.05:
            return None
        if spec.merge == "register" and spec.type == "str" and random.random() < 0.05:
            return random.choice([FORBIDDEN, POISON])
        return self._value(random, spec, shown_at(entity, name))

    def _key(self, random: Random, name: str, spec: FieldSpec, entity: Entity) -> tuple[str, Value]:
        key = random.choice(
            [*spec.fields, *(("colour", "size/cm") if spec.element is not None else ())] or ["key"]
        )
        path = f"{name}/{escape(key)}"
        inner = spec.fields.get(key) or spec.element or FieldSpec(type="str")
        if inner.merge in _CLEARABLE and random.random() < 0.1:
            return path, None
        return path, self._value(random, inner, shown_at(entity, path))

    def _item(self, random: Random, name: str, spec: FieldSpec, entity: Entity) -> tuple[str, Value]:
        path = f"{name}/{random.choice('123')}"
        there = shown_at(entity, path) is not None
        if there and spec.fields and random.random() < 0.6:
            field = random.choice([*spec.fields])
            path = f"{path}/{field}"
            return path, self._value(random, spec.fields[field], shown_at(entity, path))
        return path, random.choice([None, "A", "z"]) if there else random.choice(["A", "M", "z"])

    def _element(self, random: Random, spec: FieldSpec) -> str:
        return random.choice(["1", "2"] if spec.type == "int" else ["x", "y", "a~1b"])

    def drawn(self, random: Random, spec: FieldSpec) -> Value:
        """Return a value for a field of the authority's own."""
        return _of_type(random, spec, 20)

    def _value(self, random: Random, spec: FieldSpec, was: Value) -> Value:
        own = self._scenario.values.get(spec.merge)
        if own is not None:
            return own(random)
        if spec.merge == "text":
            return self._edited(random, str(was or ""), whole=spec.on_overlap == "merge")
        if spec.merge == "counter":
            return _counted(random, spec, was)
        if spec.merge == "workflow":
            return random.choice(
                sorted({*spec.transitions, *(end for one in spec.transitions.values() for end in one)})
            )
        if spec.merge == "once":
            return _of_type(random, spec, 2)
        if spec.type == "str" and spec.merge == "register" and not spec.choices:
            self._made += 1
            return random.choice([*_STATES, f"word{self._made}"])
        return _of_type(random, spec, 20)

    def _edited(self, random: Random, text: str, *, whole: bool, at_end: bool = False) -> str:
        """Type something new somewhere, or take a few characters away, or both."""
        if not text:
            return f"{self._word(random, whole=whole)} {self._word(random, whole=whole)}"
        start = random.randrange(len(text) + 1)
        removed = random.choice([0, 0, 1, 2, 4])
        if at_end or start % 3 == 0:
            # Often people go on where the text ends, and so at the same place as others, or mend what is there.
            start = max(len(text) - removed, 0)
        while text[start : start + 1] == " ":
            start += 1
        gap = random.choice(["", " ", " "])
        return text[:start] + gap + self._word(random, whole=whole) + text[start + removed :]

    def _word(self, random: Random, *, whole: bool) -> str:
        count = random.randrange(1, 4)
        if whole:
            self._ideographs += count
            first = _FIRST_IDEOGRAPH + self._ideographs % _IDEOGRAPHS
        else:
            self._letters += count
            first = _FIRST_LETTER + self._letters % _LETTERS
        return "".join(chr(first - place) for place in range(1, count + 1))


def shown_at(entity: Entity, path: str) -> Value:
    """Return what a screen shows at `path`, null where there is nothing."""
    siblings = entity.fields.get(path)
    return shown(siblings).value if siblings else None


def ids_of(keys: Sequence[tuple[str, str]]) -> Ids:
    """Return the ids by kind that `keys` hold; the first records' where there are none."""

    def ids(kind: str) -> Sequence[str]:
        return [key[1] for key in keys if key[0] == kind] or first_ids(kind)[:1]

    return ids


def _members(kind: KindSpec) -> set[str]:
    return {member for group in kind.groups.values() for member in group.members}


def _counted(random: Random, spec: FieldSpec, was: Value) -> Value:
    if spec.type == "decimal":
        return (
            f"{Decimal(str(was or 0)) + random.choice([Decimal('-2.50'), Decimal('0.25'), Decimal(7)]):.2f}"
        )
    known = was if isinstance(was, int | float) else 0
    return known + random.choice([-3, 1, 1, 7] if spec.type != "float" else [-2.5, 0.25, 1, 7])


def _of_type(random: Random, spec: FieldSpec, choices: int) -> Value:
    number = random.randrange(choices)
    if spec.choices:
        return spec.choices[number % len(spec.choices)]
    made: Mapping[str, Value] = {
        "int": number,
        "float": number / 4,
        "bool": number % 2 == 0,
        "decimal": f"{number}.50",
        "date": f"2026-05-{number + 1:02}",
        "datetime": f"2026-05-{number + 1:02}T09:30:00Z",
        "bytes": ("", "AAEC", "/w==")[number % 3],
        "list": [number, "a"],
        "map": {"k": number},
        "json": {"k": [number]},
    }
    return made.get(spec.type, f"N{number}")
