"""What `apply` refuses, by name; nothing of a refused change stays, and the next one goes through."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync import Change, Dot, Entity, Patch, Schema, Stamp, apply, view
from rightfit_sync.changes import create, edit
from rightfit_sync.limits import (
    DEVICES_PER_VECTOR_MAX,
    PATCHES_PER_CHANGE_MAX,
    PATH_LENGTH_MAX,
    SIBLINGS_PER_FIELD_MAX,
    TEXT_LENGTH_MAX,
)
from rightfit_sync.merge.policy import Policy
from rightfit_sync.merge.registry import _POLICIES
from rightfit_sync.merge.text import Text
from rightfit_sync.schema.spec import FieldSpec, KindSpec
from rightfit_sync.schema.types import CHECKS
from rightfit_sync.values import Value, problem

SCHEMA = Schema(
    1,
    {
        "task": KindSpec(
            {
                "title": FieldSpec(type="str"),
                "anything": FieldSpec(),
                "notes": FieldSpec("text", "str"),
                "hazards": FieldSpec("server", "list"),
                "tags": FieldSpec("set", "str"),
                "rooms": FieldSpec("set", "int"),
                "meta": FieldSpec("map", "map", fields={"photo": FieldSpec("server")}),
                "items": FieldSpec("keyed_list", "list", fields={"note": FieldSpec(type="str")}),
                "priority": FieldSpec(type="enum", choices=["LOW", "HIGH"]),
            }
        )
    },
)
FIRST, _ = apply(
    None, create("task", "1", {"title": "Boiler", "notes": "hello"}, Stamp(Dot("c", 1), 0), SCHEMA), SCHEMA
)
assert FIRST is not None
SEEN = [Dot("c", 1)]


NEXT = Dot("a", 1)


def edited(path: str, patch: Patch, dot: Dot = NEXT, **more: object) -> Change:
    fields = {"base": {"c": 1}, "patches": {path: patch}, **more}
    return msgspec.structs.replace(Change(dot, "task", "1", "edit"), **fields)


def refusal(change: Change, entity: Entity | None = FIRST) -> tuple[str, str]:
    """The code and path of the refusal; the entity is untouched, and another change is welcome afterwards."""
    after, outcome = apply(entity, change, SCHEMA)
    assert outcome.status == "rejected", outcome
    assert outcome.message
    assert after is entity
    if entity is not None:
        next_one = edit(entity, {"title": "Tap"}, Stamp(Dot("next", 1), 0), SCHEMA)
        assert next_one is not None
        assert apply(entity, next_one, SCHEMA)[1].status == "applied"
    return outcome.code, outcome.path


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfff!"])
def test_B03_nul_and_lone_surrogates_reject_that_change_alone(text: str) -> None:
    assert refusal(edited("title", Patch(text, "Boiler", SEEN))) == ("invalid_text", "title")
    assert refusal(edited("title", Patch("x", text, SEEN))) == ("invalid_text", "title")
    assert refusal(edited("anything", Patch({"k": [text]}))) == ("invalid_text", "anything")
    assert refusal(edited("anything", Patch({text: 1}))) == ("invalid_text", "anything")
    assert refusal(edited("notes", Patch(base="hello", ops=[5, text], replaces=SEEN)))[0] == "invalid_text"
    assert refusal(edited(f"tags/{text}", Patch(True)))[0] == "invalid_text"
    named = create("task", f"2{text}", {"title": "x"}, Stamp(Dot("a", 1), 0), SCHEMA)
    assert refusal(named, None)[0] == "invalid_text"
    assert refusal(edited("title", Patch("x", "Boiler", SEEN), transaction_id=text))[0] == "invalid_text"


def test_B03_the_answer_can_be_stored_and_sent() -> None:
    _, outcome = apply(FIRST, edited("tags/a\x00\ud800", Patch(True)), SCHEMA)
    assert "\x00" not in outcome.path
    msgspec.json.encode(outcome)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, [-(2**53)], {"k": math.nan}])
def test_B01_numbers_that_readers_lose_reject_that_change_alone(value: object) -> None:
    assert refusal(edited("anything", Patch(value))) == ("invalid_number", "anything")


def test_values_that_json_cannot_say_are_refused() -> None:
    assert refusal(edited("anything", Patch({1: "one"}))) == ("invalid_type", "anything")
    assert refusal(edited("anything", Patch(b"raw"))) == ("invalid_type", "anything")
    assert refusal(edited("notes", Patch("x" * (TEXT_LENGTH_MAX + 1), "hello", SEEN))) == (
        "too_long",
        "notes",
    )


def test_B05_a_field_of_the_wrong_type_is_rejected() -> None:
    assert refusal(edited("title", Patch(7, "Boiler", SEEN))) == ("invalid_type", "title")
    assert refusal(edited("notes", Patch(["x"], "hello", SEEN))) == ("invalid_type", "notes")
    assert refusal(edited("priority", Patch("MEDIUM"))) == ("invalid_type", "priority")
    assert refusal(edited("tags/x", Patch("yes"))) == ("invalid_type", "tags/x")
    assert refusal(edited("items/7/note", Patch(1))) == ("invalid_type", "items/7/note")


def test_B05_a_server_field_is_the_authoritys_alone() -> None:
    for path in ("hazards", "meta/photo"):
        assert refusal(edited(path, Patch(["mould"]))) == ("server_field", path)
        _, outcome = apply(FIRST, edited(path, Patch(["mould"]), Dot("server:e1", 1)), SCHEMA)
        assert outcome.status == "applied"


def test_B05_an_unknown_field_is_kept_and_shown_once_the_schema_knows_it() -> None:
    after, outcome = apply(FIRST, edited("colour", Patch({"rgb": [1, 2]})), SCHEMA)
    assert outcome.status == "applied"
    assert after is not None
    assert "colour" not in view(after, SCHEMA)
    task = SCHEMA.kinds["task"]
    newer = Schema(2, {"task": msgspec.structs.replace(task, fields={**task.fields, "colour": FieldSpec()})})
    assert view(after, newer)["colour"] == {"rgb": [1, 2]}


def test_B05_an_unknown_kind_is_schema_ahead() -> None:
    ahead = create("task", "2", {}, Stamp(Dot("a", 1), 0), SCHEMA)
    assert refusal(msgspec.structs.replace(ahead, kind="robot"), None)[0] == "schema_ahead"


def test_B07_a_base_that_nobody_here_knows_is_refused() -> None:
    assert refusal(edited("title", Patch("x", "Boiler", SEEN), base={"c": 2}))[0] == "base_unknown"
    assert (
        refusal(edited("title", Patch("x", "Boiler", SEEN), base={"c": 1, "ghost": 1}))[0] == "base_unknown"
    )
    assert refusal(edited("title", Patch("x", "Boiler", [Dot("ghost", 1)]))) == ("base_unknown", "title")
    assert refusal(edited("title", Patch("x", "Boiler", [Dot("c", 2)]))) == ("base_unknown", "title")
    fresh = create("task", "2", {}, Stamp(Dot("a", 1), 0), SCHEMA)
    assert refusal(msgspec.structs.replace(fresh, base={"a": 1}), None)[0] == "base_unknown"


def with_devices(count: int) -> Entity:
    assert FIRST is not None
    others = {f"device-{number}": 1 for number in range(count - 1)}
    return msgspec.structs.replace(FIRST, version_vector={**FIRST.version_vector, **others})


def test_B07_the_65th_device_edits_normally() -> None:
    entity = with_devices(64)
    change = edit(entity, {"title": "Tap"}, Stamp(Dot("device-65", 1), 0), SCHEMA)
    assert change is not None
    after, outcome = apply(entity, change, SCHEMA)
    assert outcome.status == "applied"
    assert after is not None
    assert len(after.version_vector) == 65


def test_B07_more_than_1024_devices_in_a_vector_are_refused_and_the_known_ones_go_on() -> None:
    entity = with_devices(DEVICES_PER_VECTOR_MAX)
    newcomer = edited("title", Patch("x", "Boiler", SEEN), Dot("newcomer", 1))
    assert apply(entity, newcomer, SCHEMA)[1].code == "too_many_devices"
    assert (
        apply(entity, edited("title", Patch("x", "Boiler", SEEN), Dot("c", 2)), SCHEMA)[1].status == "applied"
    )
    crowd = {f"device-{number}": 0 for number in range(DEVICES_PER_VECTOR_MAX + 1)}
    assert refusal(edited("title", Patch("x", "Boiler", SEEN), base=crowd))[0] == "too_many_devices"


@pytest.mark.parametrize("ops", [[9, "x"], [-1], ["x", 0], [["nope"]], "abc", [1, {"a": 1}], [None]])
def test_B09_an_operation_that_does_not_fit_is_refused(ops: object) -> None:
    assert refusal(edited("notes", Patch(base="hello", ops=ops, replaces=SEEN)))[0] == "invalid_operation"


def test_B09_operations_are_for_texts_and_instead_of_a_value() -> None:
    assert refusal(edited("title", Patch(base="Boiler", ops=[1], replaces=SEEN))) == (
        "invalid_operation",
        "title",
    )
    both = Patch("x", "hello", SEEN, [1])
    assert refusal(edited("notes", both)) == ("invalid_operation", "notes")
    assert refusal(edited("title", Patch(base="Boiler"))) == ("invalid_patch", "title")


def test_an_operation_says_what_its_value_would_have_said() -> None:
    by_ops, _ = apply(FIRST, edited("notes", Patch(base="hello", ops=[5, " all"], replaces=SEEN)), SCHEMA)
    by_value, _ = apply(FIRST, edited("notes", Patch("hello all", "hello", SEEN)), SCHEMA)
    assert by_ops == by_value


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "title/x",
            "tags",
            "tags/",
            "tags/a/b",
            "tags/~2",
            "tags/~",
            "items/1/2/3",
            "items//note",
            "meta/",
        ),
        *(
            "items/7/id",
            "items/7/position",
            "rooms/x",
            "rooms/01",
            "rooms/1.0",
            "rooms/\u0661",
            "rooms/ 1",
            "rooms/-0",
        ),
        "x" * (PATH_LENGTH_MAX + 1),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    assert refusal(edited(path, Patch(True)))[0] == "invalid_path"


@pytest.mark.parametrize("path", ["rooms/0", "rooms/-12", "tags/~0~1", "meta/x~1y", "items/a~0/note"])
def test_a_path_that_leads_somewhere_is_taken(path: str) -> None:
    value = "x" if path.startswith("items") else True
    assert apply(FIRST, edited(path, Patch(value)), SCHEMA)[1].status == "applied"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (edited("title", Patch("x", "Boiler", SEEN), Dot("a", 0)), "invalid_dot"),
        (edited("title", Patch("x", "Boiler", SEEN), Dot("", 1)), "invalid_dot"),
        (edited("title", Patch("x", "Boiler", SEEN), op="delete"), "invalid_op"),
        (edited("title", Patch("x", "Boiler", SEEN), op="restore"), "invalid_op"),
        (edited("title", Patch("x", "Boiler", SEEN), patches={}), "invalid_op"),
        (edited("title", Patch("x", "Boiler", SEEN), patches={}, op="resolve"), "invalid_op"),
        (edited("title", Patch("x", "Boiler", SEEN), entity_id="2"), "wrong_entity"),
        (
            edited("t", Patch(), patches={f"f{n}": Patch(1) for n in range(PATCHES_PER_CHANGE_MAX + 1)}),
            "too_many_patches",
        ),
    ],
)
def test_a_change_of_no_sense_is_refused(change: Change, code: str) -> None:
    assert refusal(change)[0] == code


def test_nothing_but_a_create_brings_an_entity_into_being() -> None:
    for op in ("edit", "delete", "restore", "resolve"):
        patches = {"title": Patch("x")} if op in ("edit", "resolve") else {}
        assert refusal(edited("title", Patch(), op=op, base={}, patches=patches), None)[0] == "unknown_entity"


def test_siblings_beyond_the_limit_are_refused_with_the_way_out() -> None:
    entity = FIRST
    for number in range(SIBLINGS_PER_FIELD_MAX):
        change = edited("title", Patch(f"title {number}", "Boiler", SEEN), Dot(f"d{number}", 1))
        entity, outcome = apply(entity, change, SCHEMA)
        assert outcome.is_accepted
    one_more = edited("title", Patch("one more", "Boiler", SEEN), Dot("last", 1))
    after, outcome = apply(entity, one_more, SCHEMA)
    assert (outcome.code, outcome.path) == ("too_many_siblings", "title")
    assert after is entity


TYPES = [*CHECKS, "json", "one of tomorrow"]
SIMPLE = [
    "1",
    "-12.50",
    "1e5",
    "",
    "x",
    "2026-05-01",
    "2026-05-01T09:30:00Z",
    "2026-02-31x",
    "QUJD",
    "QQ=",
    "LOW",
]
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(
        [*SIMPLE, None, True, False, 0, 1, -7, 2**53 - 1, 2**53, -(2**53), 0.5, 1.0, math.nan, math.inf]
    ),
    st.sampled_from([[], [1], {}, {"a": None}, {"a": 2**53}]),
)


class Suspicious(Text):
    def problem(self, value: Value) -> str | None:
        return "nothing is good enough"


@pytest.mark.parametrize("merge", [*_POLICIES, "suspicious"])
@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("choices", [[], ["LOW", "1", "HIGH"]])
def test_what_is_fine_at_first_sight_is_fine_when_looked_at(
    merge: str, type_name: str, choices: list[str]
) -> None:
    policy: Policy = {**_POLICIES, "suspicious": Suspicious}[merge](
        FieldSpec(merge, type_name, choices=choices)
    )

    @given(VALUES)
    def law(value: Value) -> None:
        test = policy.takes.get(type(value))
        if test is not None and test(value):
            assert problem(value) is None
            assert policy.problem(value) is None
            assert merge not in ("server", "suspicious")

    law()


@given(
    st.lists(st.sampled_from(["Boiler", "half \ud800", "n\x00l", "\udc00 half", "x" * 150_000]), max_size=3)
)
def test_texts_looked_at_together_are_judged_one_by_one(texts: list[str]) -> None:
    patches = {f"tags/{number}": Patch(True) for number in range(3)}
    patches |= {f"meta/{number}": Patch(text) for number, text in enumerate(texts)}
    _, outcome = apply(None, Change(NEXT, "task", "1", "create", patches=patches), SCHEMA)
    bad = [number for number, text in enumerate(texts) if problem(text) is not None]
    assert (outcome.status, outcome.path) == (("rejected", f"meta/{bad[0]}") if bad else ("applied", ""))


@pytest.mark.parametrize("path", ["tags/half \ud800", "tags/n\x00l"])
def test_a_path_that_was_refused_is_refused_again(path: str) -> None:
    for dot in (NEXT, Dot("b", 1)):
        assert refusal(edited(path, Patch(True), dot))[0] == "invalid_text"


@pytest.mark.parametrize("before", ["n\x00l", 2**53, [math.nan]])
def test_what_its_author_saw_must_be_a_value_too(before: Value) -> None:
    assert refusal(edited("title", Patch("Tap", before, SEEN)))[1] == "title"
