"""The account finds what is there, and misses what is not: each kind of field by itself, without the engine.

What the server holds is written down by hand here, so that the account cannot lean on what it judges.
"""

from collections.abc import Mapping, Sequence

import pytest

from rightfit_server.demo.accounts import Account, Fate, account
from rightfit_server.demo.evidence import Held, Refused, ServerEvidence
from rightfit_server.demo.journal import Entry, Write
from rightfit_server.domain.schema import SCHEMA
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.records import Change, Entity, Patch, Sibling

KEY = ("work_order", "w1")
LIFE_CONFLICT = frozenset({(KEY, "life", "c1")})


def write(number: int, person: str = "ann", **more: object) -> Write:
    facts = {"op": "edit", "kind": KEY[0], "entity_id": KEY[1], **more}
    return Write(number=number, person=person, **facts)  # type: ignore[arg-type]


def held(document: Mapping[str, object], *, deleted: bool = False, **siblings: Sequence[object]) -> Held:
    dots = [WrittenDot("d", 1, 1)]
    fields = {
        path.replace("__", "/"): [Sibling(value, dots) for value in values]
        for path, values in siblings.items()
    }
    return Held(document, Entity(*KEY, {}, fields), is_deleted=deleted)


def fates(
    writes: Sequence[Write],
    record: Held | None,
    *,
    conflicts: frozenset[tuple[tuple[str, str], str, str]] = frozenset(),
    refused: Sequence[Refused] = (),
    kept: frozenset[tuple[str, int]] = frozenset(),
    unsure: frozenset[int] = frozenset(),
) -> list[Fate]:
    evidence = ServerEvidence({} if record is None else {KEY: record}, conflicts, refused)
    entries = [Entry(one, one.number not in unsure) for one in writes]
    return [fate for _, fate in account(entries, evidence, kept, SCHEMA).fates]


def test_a_record_that_is_gone_is_lost() -> None:
    made = write(1, op="create", wrote={"title": "Boiler"})
    assert fates([made], None) == [Fate.LOST]
    assert fates([made], held({"title": "Boiler"})) == [Fate.VISIBLE]


@pytest.mark.parametrize(
    ("field", "saw", "first", "second", "kept", "half"),
    [
        ("title", "Boiler", "Boiler leaks", "Boiler leaks", "Boiler leaks", "Boiler"),
        ("notes", "Ring.", "Ring. Key at nine.", "Combi. Ring.", "Combi. Ring. Key at nine.", "Combi. Ring."),
        ("tags", ["gas"], ["gas", "leak"], ["gas", "vip"], ["gas", "leak", "vip"], ["gas", "vip"]),
        ("cost_pence", 100, 150, 130, 180, 130),
        (
            "external_ids",
            {"a": "1"},
            {"a": "2"},
            {"a": "1", "b": "3"},
            {"a": "2", "b": "3"},
            {"a": "1", "b": "3"},
        ),
        (
            "checklist",
            [{"id": "1", "done": False}],
            [{"id": "1", "done": True}],
            [{"id": "1", "done": False}, {"id": "2", "text": "Drain"}],
            [{"id": "1", "position": "a", "done": True}, {"id": "2", "position": "b", "text": "Drain"}],
            [{"id": "1", "position": "a", "done": False}, {"id": "2", "position": "b", "text": "Drain"}],
        ),
    ],
)
def test_of_two_concurrent_writes_both_must_be_found(
    field: str, saw: object, first: object, second: object, kept: object, half: object
) -> None:
    writes = [
        write(1, "office", op="create", wrote={field: saw}),
        write(1, "ann", wrote={field: first}, saw={field: saw}),
        write(1, "bob", wrote={field: second}, saw={field: saw}),
    ]
    assert Fate.LOST not in fates(writes, held({field: kept}))
    found = fates(writes, held({field: half}))
    assert found.count(Fate.LOST) == (2 if field == "title" else 1)


def test_a_write_is_superseded_only_by_one_who_had_seen_it() -> None:
    first = write(1, "ann", wrote={"title": "Boiler leaks"}, saw={"title": "Boiler"})
    seen = write(1, "bob", wrote={"title": "Boiler drips"}, saw={"title": "Boiler leaks"})
    blind = write(1, "bob", wrote={"title": "Boiler drips"}, saw={"title": "Boiler"})
    record = held({"title": "Boiler drips"})
    assert fates([first, seen], record) == [Fate.SUPERSEDED, Fate.VISIBLE]
    assert fates([first, blind], record) == [Fate.LOST, Fate.VISIBLE]


def test_both_sides_of_a_conflict_are_in_it() -> None:
    writes = [write(1, "ann", wrote={"title": "A"}), write(1, "bob", wrote={"title": "B"})]
    assert fates(writes, held({"title": "B"}, title=["A", "B"])) == [Fate.IN_CONFLICT] * 2
    assert fates(writes, held({"title": "B"}, title=["B"])) == [Fate.LOST, Fate.VISIBLE]


def test_a_step_in_conflict_is_found_under_its_path() -> None:
    saw = {"checklist": [{"id": "1", "reading": None}]}
    one = write(1, "ann", wrote={"checklist": [{"id": "1", "reading": "1.2"}]}, saw=saw)
    two = write(1, "bob", wrote={"checklist": [{"id": "1", "reading": "2.1"}]}, saw=saw)
    record = held({"checklist": [{"id": "1", "reading": "2.1"}]}, checklist__1__reading=["1.2", "2.1"])
    assert fates([one, two], record) == [Fate.IN_CONFLICT] * 2


def test_a_group_in_conflict_is_found_under_its_members() -> None:
    done = {"status": "DONE", "completed_at": "2026-02-03T11:00:00Z"}
    writes = [write(1, "ann", wrote={"status": "CANCELLED"}), write(1, "bob", wrote=done)]
    both = [{"status": "CANCELLED", "completed_at": None}, done]
    assert fates(writes, held(done, completion=both)) == [Fate.IN_CONFLICT] * 2


def test_the_later_state_stands_for_both() -> None:
    writes = [write(1, "ann", wrote={"priority": "HIGH"}), write(1, "bob", wrote={"priority": "EMERGENCY"})]
    assert fates(writes, held({"priority": "EMERGENCY"})) == [Fate.MERGED, Fate.VISIBLE]
    assert fates(writes, held({"priority": "LOW"})) == [Fate.LOST, Fate.LOST]


def test_a_resolution_supersedes_what_it_chose_between() -> None:
    one = write(1, "ann", wrote={"title": "A"}, saw={"title": "O"})
    two = write(1, "bob", wrote={"title": "B"}, saw={"title": "O"})
    chosen = write(
        2, "ann", op="resolve", path="title", wrote={"title": "B"}, saw={"title": "A"}, choices=["A", "B"]
    )
    assert fates([one, two, chosen], held({"title": "B"})) == [Fate.SUPERSEDED, Fate.VISIBLE, Fate.VISIBLE]


def test_a_delete_supersedes_what_it_had_seen() -> None:
    edited = write(1, "ann", wrote={"title": "A"}, saw={"title": "O"})
    seen = write(1, "bob", op="delete", saw={"title": "A"})
    blind = write(1, "bob", op="delete", saw={"title": "O"})
    gone = held({"title": "A"}, deleted=True)
    assert fates([edited, seen], gone) == [Fate.SUPERSEDED, Fate.VISIBLE]
    assert fates([edited, blind], gone) == [Fate.LOST, Fate.VISIBLE]
    alive = held({"title": "A"})
    assert fates([edited, blind], alive, conflicts=LIFE_CONFLICT) == [Fate.VISIBLE, Fate.IN_CONFLICT]
    assert fates([edited, blind], alive) == [Fate.VISIBLE, Fate.LOST]
    kept = write(2, "ann", op="resolve", path="life", wrote={"life": "keep"})
    assert fates([edited, blind, kept], alive) == [Fate.VISIBLE, Fate.SUPERSEDED, Fate.VISIBLE]


def test_a_rejected_change_must_be_kept_on_its_device() -> None:
    wrong = write(1, "ann", wrote={"due_on": "2027-01-01"}, saw={})
    change = Change(Dot("d1", 4), *KEY, "edit", patches={"due_on": Patch(value="2027-01-01")})
    answers = [Refused("ann", change, "not_permitted")]
    record = held({})
    assert fates([wrong], record, refused=answers, kept=frozenset({("d1", 4)})) == [Fate.REJECTED]
    assert fates([wrong], record, refused=answers) == [Fate.LOST]
    assert fates([wrong], record) == [Fate.LOST]


def test_a_change_of_which_nobody_knows_whether_it_was_durable_is_never_called_lost() -> None:
    maybe = write(1, "ann", wrote={"title": "A"}, saw={"title": "O"})
    assert fates([maybe], held({"title": "O"}), unsure=frozenset({1})) == []
    assert fates([maybe], held({"title": "A"}), unsure=frozenset({1})) == [Fate.VISIBLE]


def test_a_sum_may_hold_what_was_perhaps_durable() -> None:
    sure = write(1, "ann", wrote={"cost_pence": 150}, saw={"cost_pence": 100})
    made = write(1, "bob", op="create", wrote={"cost_pence": 100})
    maybe = write(2, "ann", wrote={"cost_pence": 157}, saw={"cost_pence": 150})
    for total in (150, 157):
        assert Fate.LOST not in fates([made, sure, maybe], held({"cost_pence": total}), unsure=frozenset({2}))
    for total in (100, 107, 50, 200):
        assert Fate.LOST in fates([made, sure, maybe], held({"cost_pence": total}), unsure=frozenset({2}))


def test_the_sentence_counts_merged_as_visible() -> None:
    found = [(write(1), fate) for fate in (Fate.VISIBLE, Fate.MERGED, Fate.SUPERSEDED, Fate.LOST)]
    expected = "4 changes: 2 visible (1 merged), 1 superseded, 0 in conflict, 0 rejected, 1 lost"
    assert Account(found).sentence() == expected
