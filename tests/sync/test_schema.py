"""Schemas: declared in Python or read as JSON, refused where they contradict themselves."""

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import pytest

from rightfit_sync import Schema
from rightfit_sync.errors import SchemaError
from rightfit_sync.invariants import RULES, broken, register_rule
from rightfit_sync.schema.declare import declare, group, invariant, kind, merge, ref
from rightfit_sync.schema.spec import FieldSpec, GroupSpec, InvariantSpec, KindSpec, ReferenceSpec
from rightfit_sync.schema.types import CHECKS, as_decimal, type_problem

# The example of the semantics, section 10.
SECTION_10 = {
    "schema_version": 1,
    "kinds": {
        "work_order": {
            "fields": {
                "title": {"merge": "register", "type": "str"},
                "notes": {"merge": "text", "type": "str", "on_overlap": "merge"},
                "tags": {"merge": "set", "type": "str"},
                "cost_pence": {"merge": "counter", "type": "int"},
                "status": {"merge": "workflow", "type": "str", "transitions": {"OPEN": ["ASSIGNED"]}},
                "completed_at": {"merge": "register", "type": "datetime"},
                "signature": {"merge": "register", "type": "bytes"},
                "property_id": {"merge": "register", "type": "str"},
            },
            "groups": {"completion": {"members": ["status", "completed_at", "signature"], "lead": "status"}},
            "references": {"property_id": {"kind": "property", "on_delete": "restrict"}},
        },
        "property": {"fields": {}},
    },
}


def test_a_schema_is_read_from_json_and_written_back() -> None:
    schema = msgspec.convert(SECTION_10, Schema)
    assert schema.kinds["work_order"].fields["notes"].on_overlap == "merge"
    assert schema.kinds["work_order"].references["property_id"].on_delete == "restrict"
    assert msgspec.convert(msgspec.to_builtins(schema), Schema) == schema
    assert msgspec.json.decode(msgspec.json.encode(schema), type=Schema) == schema


def test_F12_what_a_newer_schema_adds_does_not_stop_an_older_reader() -> None:
    newer = {
        "schema_version": 2,
        "news": 1,
        "kinds": {"k": {"fields": {"f": {"merge": "of-the-future", "hue": 1}}}},
    }
    assert msgspec.convert(newer, Schema).kinds["k"].fields["f"].merge == "of-the-future"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Step(msgspec.Struct):
    id: str
    note: Annotated[str, merge("text")] = ""
    done: bool = False


@kind("place")
class Place(msgspec.Struct):
    name: str


@kind(
    "job",
    audience=["staff", "worker:{worker}"],
    groups={"window": group("opened", "closed", lead="opened")},
    invariants={"range": invariant("ordered", "low", "high", strict=True)},
    on_delete_conflict="delete",
)
class Job(msgspec.Struct):
    title: str
    low: int
    high: int | None
    ratio: float
    urgent: bool
    price: Annotated[Decimal, merge("counter")]
    opened: date
    closed: Annotated[datetime | None, merge("once")]
    photo: bytes
    colour: Colour
    size: Literal["S", "L"]
    tags: set[str]
    rooms: frozenset[int]
    rows: list[int]
    pairs: tuple[int, ...]
    steps: list[Step]
    meta: Annotated[dict[str, int], merge("map")]
    extra: dict[str, int]
    either: int | str
    anything: object
    notes: Annotated[str, merge("text", on_overlap="merge")]
    flow: Annotated[str, merge("workflow", transitions={"OPEN": ["DONE"]})]
    rank: Annotated[str, merge("own", options={"order": ["a"]})]
    worker: str | None = None
    place_id: Annotated[str | None, ref("place", on_delete="cascade", lends_audience=True)] = None


def test_python_types_give_the_words() -> None:
    job = declare(3, Job, Place).kinds["job"]
    words = {name: (spec.merge, spec.type) for name, spec in job.fields.items()}
    assert words == {
        "title": ("register", "str"),
        "low": ("register", "int"),
        "high": ("register", "int"),
        "ratio": ("register", "float"),
        "urgent": ("register", "bool"),
        "price": ("counter", "decimal"),
        "opened": ("register", "date"),
        "closed": ("once", "datetime"),
        "photo": ("register", "bytes"),
        "colour": ("register", "enum"),
        "size": ("register", "enum"),
        "tags": ("set", "str"),
        "rooms": ("set", "int"),
        "rows": ("register", "list"),
        "pairs": ("register", "list"),
        "steps": ("keyed_list", "list"),
        "meta": ("map", "map"),
        "extra": ("register", "map"),
        "either": ("register", "json"),
        "anything": ("register", "json"),
        "notes": ("text", "str"),
        "flow": ("workflow", "str"),
        "rank": ("own", "str"),
        "worker": ("register", "str"),
        "place_id": ("register", "str"),
    }
    assert job.fields["colour"].choices == ["red", "blue"]
    assert job.fields["size"].choices == ["S", "L"]
    assert job.fields["steps"].fields["note"].merge == "text"
    schema = declare(3, Job, Place)
    assert job.fields["meta"].element == FieldSpec(type="int")
    assert job.fields["title"] == FieldSpec(type="str")
    assert msgspec.convert(msgspec.to_builtins(schema), Schema) == schema
    assert job.fields["rank"].options == {"order": ["a"]}
    assert job.references == {"place_id": ReferenceSpec("place", "cascade", lends_audience=True)}
    assert job.groups == {"window": GroupSpec(["opened", "closed"], "opened")}
    assert job.invariants["range"] == InvariantSpec("ordered", ["low", "high"], {"strict": True})
    assert (job.on_delete_conflict, job.audience) == ("delete", ["staff", "worker:{worker}"])


def test_a_class_that_is_no_kind_is_refused() -> None:
    class Plain(msgspec.Struct):
        name: str

    with pytest.raises(SchemaError, match="decorate it"):
        declare(1, Plain)


def test_text_is_for_str() -> None:
    @kind("wrong")
    class Wrong(msgspec.Struct):
        number: Annotated[int, merge("text")]

    with pytest.raises(SchemaError, match=r"Wrong\.number"):
        declare(1, Wrong)


FIELDS = {"a": FieldSpec(), "b": FieldSpec(), "tags": FieldSpec("set"), "seen": FieldSpec("server")}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"fields": {"life": FieldSpec()}}, "'life' cannot name a field"),
        ({"fields": {"deleted_at": FieldSpec()}}, "reserved"),
        ({"fields": {"": FieldSpec()}}, "empty"),
        ({"fields": {"a/b": FieldSpec()}}, "holds '/'"),
        ({"fields": {"a~b": FieldSpec()}}, "holds '/' or '~'"),
        ({"groups": {"entity_id": GroupSpec(["a"])}}, "'entity_id' cannot name"),
        ({"groups": {"g": GroupSpec(["a", "missing"])}}, "'missing'"),
        ({"groups": {"a": GroupSpec(["b"])}}, "has the name of a field"),
        ({"groups": {"g": GroupSpec(["a"], "b")}}, "lead 'b'"),
        ({"groups": {"g": GroupSpec(["a", "tags"])}}, "container"),
        ({"groups": {"g": GroupSpec(["a", "seen"])}}, "only the server writes"),
        ({"references": {"missing": ReferenceSpec("k")}}, "'missing'"),
        ({"invariants": {"i": InvariantSpec("ordered", ["a", "missing"])}}, "'missing'"),
        ({"invariants": {"i": InvariantSpec("ordered", [])}}, "names no fields"),
    ],
)
def test_a_kind_that_contradicts_itself_is_refused(parts: dict[str, object], sentence: str) -> None:
    with pytest.raises(SchemaError, match=sentence):
        KindSpec(**{"fields": FIELDS, **parts})
    plain = msgspec.to_builtins({"fields": FIELDS, **parts})
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(plain, KindSpec)


def test_a_reference_to_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(SchemaError, match="refers to the kind 'ghost'"):
        Schema(1, {"k": KindSpec({"a": FieldSpec()}, references={"a": ReferenceSpec("ghost")})})


@pytest.mark.parametrize(
    ("word", "legal", "illegal"),
    [
        ("str", ["", "x"], [1, [], True]),
        ("int", [0, -5], [1.0, True, "1"]),
        ("float", [0, 0.5], [True, "1"]),
        ("bool", [True, False], [1, "true"]),
        (
            "decimal",
            ["1", "-12.50", "+0.1"],
            ["1.", ".5", "1e5", "NaN", "1_0", " 1", "1\n", "\u0661", 1, "9" * 41],
        ),
        ("date", ["2026-05-01"], ["2026-13-01", "2026-5-1", "20260501", 5, "2026-05-01\n"]),
        (
            "datetime",
            ["2026-05-01T09:30:00Z", "2026-05-01 09:30:00.5+02:00", "2026-05-01T09:30z"],
            ["2026-05-01", "2026-05-01T09:30:00", "2026-05-01T25:00:00Z"],
        ),
        ("bytes", ["", "AAEC", "/w=="], ["A", "AA=A", "AA\n=", "-_8="]),
        ("list", [[], (1,)], ["", {}]),
        ("map", [{}], [[], ""]),
        ("enum", ["x"], [1]),
        ("json", [1, "x", [], None], []),
        ("of-the-future", [1, "x"], []),
    ],
)
def test_types(word: str, legal: list[object], illegal: list[object]) -> None:
    spec = FieldSpec(type=word)
    assert all(type_problem(spec, value) is None for value in [*legal, None])
    assert [value for value in illegal if type_problem(spec, value) is None] == []
    assert word in CHECKS or not illegal


def test_a_wrong_value_is_shown_but_not_at_length() -> None:
    sentence = type_problem(FieldSpec(type="int"), "x" * 500)
    assert sentence is not None
    assert len(sentence) < 100
    assert "one of a, b" in str(type_problem(FieldSpec(type="enum", choices=["a", "b"]), "c"))


def test_numbers_are_read_exactly() -> None:
    assert as_decimal(0.1) == Decimal("0.1")
    assert as_decimal("0.10") == Decimal("0.1")
    for value in (True, None, "NaN", "1e5", [], "Infinity"):
        assert as_decimal(value) is None


@pytest.mark.parametrize(
    ("rule", "values", "options", "holds"),
    [
        ("ordered", {"a": 1, "b": 1}, {}, True),
        ("ordered", {"a": 2, "b": 1}, {}, False),
        ("ordered", {"a": None, "b": 1}, {}, True),
        ("ordered", {"a": "2026-02-01", "b": "2026-01-01"}, {}, False),
        ("ordered", {"a": [2], "b": [1]}, {}, True),
        ("requires", {"a": "x", "b": None}, {}, False),
        ("requires", {"a": "x", "b": 0}, {}, True),
        ("requires", {"a": None, "b": None}, {}, True),
        ("requires", {"a": "OPEN", "b": None}, {"when": ["DONE"]}, True),
        ("requires", {"a": "DONE", "b": None}, {"when": ["DONE"]}, False),
        ("at_most_one", {"a": 1, "b": None}, {}, True),
        ("at_most_one", {"a": 1, "b": 1}, {}, False),
        ("of-the-future", {"a": 1, "b": 1}, {}, True),
    ],
)
def test_invariant_rules(
    rule: str, values: dict[str, object], options: dict[str, object], holds: bool
) -> None:
    kind_spec = KindSpec(FIELDS, invariants={"i": InvariantSpec(rule, ["a", "b"], options)})
    assert (broken(kind_spec, values) == []) is holds


def test_a_rule_of_ones_own_is_registered_once() -> None:
    def never(values: object, options: object) -> bool:
        return False

    register_rule("never-of-this-test", never)
    register_rule("never-of-this-test", never)
    kind_spec = KindSpec(FIELDS, invariants={"i": InvariantSpec("never-of-this-test", ["a"])})
    assert [name for name, _ in broken(kind_spec, {})] == ["i"]
    with pytest.raises(ValueError, match="exists already"):
        register_rule("ordered", never)
    assert RULES["ordered"] is not never
