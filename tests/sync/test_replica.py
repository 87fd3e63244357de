"""A replica's logic over a store: what is written is shown at once, pushed in order, and never dropped."""

import pytest
from msgspec.structs import replace

from rightfit_sync import Change, Dot, Entity, Outcome, Patch, Schema, Sibling, Stamp
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.errors import LocalError
from rightfit_sync.feed import Evicted, Page, Row
from rightfit_sync.ingest.snapshot import Receipt
from rightfit_sync.limits import CHANGE_BYTES_MAX
from rightfit_sync.outbox import Entry, fold, plan_push, trimmed
from rightfit_sync.records import digest, rejected
from rightfit_sync.replica import too_large
from rightfit_sync.schema.spec import FieldSpec, KindSpec
from rightfit_sync.store import Rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = Schema(
    1,
    {
        "task": KindSpec(
            {
                "title": FieldSpec(type="str"),
                "notes": FieldSpec("text", "str", on_overlap="merge"),
                "number": FieldSpec("counter", "int"),
            },
            audience=["all"],
        )
    },
)
KEY = ("task", "1")


def trunk(seq: int = 1, *, device_id: str = "b", tags: tuple[str, ...] = ("all",), **fields: object) -> Row:
    siblings = {path: [Sibling(value, [WrittenDot(device_id, seq, 5)])] for path, value in fields.items()}
    return Row(seq, Entity(*KEY, {device_id: seq}, siblings), tags)


def page(*rows: Row, cursor: str = "c", tags: tuple[str, ...] = ("all",), **more: object) -> Page:
    return Page(**{"cursor": cursor, "tags": tags, "rows": rows, **more})


def answered(device: MemoryDevice, *outcomes: Outcome) -> None:
    pushed = device.request().changes
    device.core.take_receipts(
        Receipt(one.change.dot, one.digest, outcome) for one, outcome in zip(pushed, outcomes, strict=False)
    )


def test_a_write_is_shown_at_once_and_spends_one_dot() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.create(KEY, {"title": "Boiler"})
    assert device.view(KEY) == {"title": "Boiler"}
    assert device.edit(KEY, {"title": "Boiler"}) is None
    assert device.edit(("task", "missing"), {"title": "x"}) is None
    assert device.store.state().counter == 1
    assert device.store.views[KEY].entity == device.entity(KEY)


def test_F06_a_change_is_refused_when_it_is_made_and_leaves_no_trace() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.create(KEY, {"title": "Boiler"})
    for wanted, code in (({"title": 5}, "invalid_type"), ({"title": "a\x00"}, "invalid_text")):
        with pytest.raises(LocalError) as caught:
            device.edit(KEY, wanted)
        assert (caught.value.code, caught.value.path) == (code, "title")
    with pytest.raises(LocalError) as caught:
        device.edit(KEY, {f"x{n}": "y" * 150_000 for n in range(CHANGE_BYTES_MAX // 150_000 + 1)})
    assert caught.value.code == "too_large"
    assert device.store.state().counter == 1
    assert device.view(KEY) == {"title": "Boiler"}


def test_a_rejected_change_leaves_the_view_and_keeps_its_payload() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(title="A")))
    device.edit(KEY, {"title": "B"})
    answered(device, rejected("forbidden", "no", "title"))
    answered(device, Outcome("applied"))
    assert device.view(KEY) == {"title": "A"}
    (line,) = device.store.rejected()
    assert line.change.patches["title"].value == "B"
    assert device.store.lost([KEY]) == {KEY: frozenset({Dot("a", 1)})}


@pytest.mark.parametrize("edits", [0, 1])
def test_an_answer_that_brings_a_create_back_and_refuses_an_edit_of_it_shows_the_create(edits: int) -> None:
    device = MemoryDevice("a", SCHEMA)
    device.create(KEY, {"title": "Boiler"})
    for number in range(edits):
        device.edit(KEY, {"title": f"edit {number}"})
    written_at = next(iter(device.store.pending())).change.written_at
    row = Row(
        1, Entity(*KEY, {"a": 1}, {"title": [Sibling("Boiler", [WrittenDot("a", 1, written_at)])]}), ["all"]
    )
    with device.store.transaction(), device.core.refreshing_once():
        answered(device, Outcome("applied"), *([rejected("forbidden", "no", "title")] * edits))
        device.core.take_page(page(row))
    assert device.store.entries([KEY]) == {}
    assert device.store.views[KEY].entity == device.entity(KEY) == row.entity
    assert device.view(KEY) == {"title": "Boiler"}


def test_receipts_of_nobody_do_nothing() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_receipts([Receipt(Dot("a", 9), "d", rejected("x", "y"))])
    device.core.take_deferred([Dot("a", 9)])
    device.core.set_aside(Dot("a", 9), too_large(1))
    assert rejected_codes(device) == []


def test_history_18_an_accepted_change_stays_in_the_fold_until_the_trunk_covers_it() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(title="A")))
    device.edit(KEY, {"title": "B"})
    answered(device, Outcome("applied"))
    assert device.view(KEY) == {"title": "B"}
    device.edit(KEY, {"title": "C"})
    assert device.conflicts(KEY) == []
    first = device.store.acknowledged()[0].change
    covered = Entity(
        *KEY, {"b": 1, "a": 1}, {"title": [Sibling("B", [WrittenDot("a", 1, first.written_at)])]}
    )
    device.core.take_page(page(Row(2, covered, ["all"])))
    assert device.view(KEY) == {"title": "C"}
    assert [entry.change.dot for entry in device.store.entries([KEY])[KEY]] == [Dot("a", 2)]


def test_a_page_is_taken_once_and_an_older_row_never() -> None:
    device = MemoryDevice("a", SCHEMA)
    assert device.core.take_page(page(trunk(5, title="new"), cursor="c5")) == {KEY}
    assert device.core.take_page(page(trunk(4, title="old"), cursor="c6")) == set()
    assert device.view(KEY) == {"title": "new"}
    assert device.store.state().cursor == "c6"


def test_F11_an_eviction_is_no_delete_and_keeps_what_is_pending() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(5, title="A")))
    device.edit(KEY, {"title": "B"})
    device.core.take_page(page(evicted=[Evicted(4, *KEY)]))
    assert device.view(KEY) == {"title": "B"}
    device.core.take_page(page(evicted=[Evicted(6, *KEY)]))
    assert device.view(KEY) == {}
    assert len(list(device.store.pending())) == 1
    answered(device, rejected("not_permitted", "no"))
    assert rejected_codes(device) == ["not_permitted"]


def test_F11_a_tag_taken_away_evicts_what_only_it_let_one_see() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(title="A", tags=("north", "all")), tags=("north", "all")))
    device.core.take_page(page(tags=("all",)))
    assert device.view(KEY) == {"title": "A"}
    device.core.take_page(page(tags=("south",)))
    assert device.view(KEY) == {}


def test_a_resync_mends_the_copy_shows_it_meanwhile_and_keeps_the_outbox() -> None:
    authority = MemoryAuthority(SCHEMA)
    authority.grant("everybody", ["all"])
    authority.register("a", "everybody")
    device = MemoryDevice("a", SCHEMA)
    device.create(KEY, {"title": "A", "number": 1})
    device.sync(authority, 1)
    (row,) = device.store.trunks([KEY]).values()
    damaged = [Sibling("damaged", row.entity.fields["title"][0].dots)]
    damage = replace(row.entity, fields={**row.entity.fields, "title": damaged})
    device.core.take_rows([replace(row, entity=damage)])
    device.edit(KEY, {"number": 4})
    device.core.resync()
    assert device.view(KEY) == {"title": "damaged", "number": 4}
    assert device.store.state().must_reconcile
    device.sync(authority, 2)
    assert not device.store.state().must_reconcile
    assert device.view(KEY) == {"title": "A", "number": 4}


def test_B04_a_change_set_aside_becomes_a_void_and_waits_on_the_rejected_list() -> None:
    device = MemoryDevice("a", SCHEMA)
    change = device.create(KEY, {"title": "A"})
    assert change is not None
    device.core.set_aside(change.dot, too_large(9_000_000))
    (pushed,) = device.request().changes
    assert (pushed.change.op, pushed.change.reason, pushed.digest) == ("void", "too_large", digest(change))
    assert rejected_codes(device) == ["too_large"]
    assert device.entity(KEY) is None
    device.core.set_aside(change.dot, too_large(1))
    assert rejected_codes(device) == ["too_large"]
    answered(device, Outcome("void"))
    assert not device.request().changes
    assert rejected_codes(device) == ["too_large"]


def test_a_void_of_what_had_arrived_takes_it_off_the_rejected_list() -> None:
    device = MemoryDevice("a", SCHEMA)
    change = device.create(KEY, {"title": "A"})
    assert change is not None
    device.core.set_aside(change.dot, too_large(9_000_000))
    answered(device, Outcome("applied"))
    assert rejected_codes(device) == []
    assert device.store.acknowledged()[0].change == change
    assert device.view(KEY) == {"title": "A"}


@pytest.mark.parametrize("op", ["create", "edit", "delete", "restore", "resolve"])
def test_retry_makes_the_change_anew_with_a_new_dot(op: str) -> None:
    device = MemoryDevice("a", SCHEMA)
    if op != "create":
        device.core.take_page(page(trunk(title="A")))
    patches = {"title": Patch("B")} if op in ("create", "edit", "resolve") else {}
    former = Change(Dot("a", 1), *KEY, "edit" if op == "edit" else op, {}, patches)
    device.store.put_state(replace(device.store.state(), counter=1))
    device.store.put_rejected(device_line(former))
    change = device.core.retry(Dot("a", 1), now=50)
    assert change is not None
    assert (change.dot, change.op) == (Dot("a", 2), op)
    assert change.was.dot == Dot("a", 1)
    assert rejected_codes(device) == []
    if patches:
        assert device.view(KEY)["title"] == "B"


def device_line(change: Change) -> Rejected:
    return Rejected(change, rejected("forbidden", "no"))


def test_retry_of_what_is_gone_says_so_and_discard_takes_it_away() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.store.put_rejected(device_line(Change(Dot("a", 1), *KEY, "edit", {}, {"title": Patch("B")})))
    with pytest.raises(LocalError) as caught:
        device.core.retry(Dot("a", 1), now=5)
    assert caught.value.code == "unknown_entity"
    assert rejected_codes(device) == ["forbidden"]
    device.core.discard(Dot("a", 1))
    assert rejected_codes(device) == []
    with pytest.raises(LocalError) as caught:
        device.core.retry(Dot("a", 1), now=5)
    assert caught.value.code == "unknown_dot"


def test_what_the_authority_is_like_is_written_down_once() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_authority(["task"], "e1")
    before = device.store.state()
    device.core.take_authority(["task"], "e1")
    assert device.store.state() is before
    device.core.take_authority(["task"], "e2")
    assert device.store.state().epoch == "e2"


def test_a_text_stands_still_while_its_author_types() -> None:
    """Else `base` would be a text that the authority never had."""
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(1, notes="one")))
    device.edit(KEY, {"notes": "one two"})
    device.core.take_page(page(trunk(2, notes="zero one")))
    assert device.view(KEY)["notes"] == "one two"
    change = device.edit(KEY, {"notes": "one two three"})
    assert change is not None
    assert (change.patches["notes"].base, change.base) == ("one two", {"b": 1, "a": 1})
    shown = device.core.shown(KEY)
    assert shown.frozen == {"notes"}


def entry(counter: int, size_bytes: int = 10, kind: str = "task", **more: object) -> Entry:
    transaction_id = more.pop("transaction_id", None)
    change = Change(Dot("a", counter), kind, str(counter), "delete", transaction_id=transaction_id)
    return Entry(**{"change": change, "digest": "d", "size_bytes": size_bytes, **more})


def planned(entries: list[Entry], kinds: frozenset[str] | None = None, **limits: int) -> list[int]:
    limits = {"changes_max": 100, "bytes_max": 1_000, **limits}
    return [one.change.dot.counter for one in plan_push(entries, kinds, **limits)]


def test_a_push_is_cut_by_count_and_bytes_but_never_inside_a_transaction() -> None:
    plain = [entry(number) for number in range(1, 6)]
    assert planned(plain, changes_max=2) == [1, 2]
    assert planned(plain, bytes_max=35) == [1, 2, 3]
    assert planned([entry(1, size_bytes=5_000), entry(2)]) == [1]
    mixed = [entry(1), *(entry(number, transaction_id="t") for number in (2, 3, 4)), entry(5)]
    assert planned(mixed, changes_max=3) == [1]
    assert planned(mixed[1:], changes_max=2) == [2, 3, 4]
    assert planned([]) == []


def test_what_the_authority_put_off_waits_until_it_knows_the_kind() -> None:
    queue = [entry(1, kind="robot", is_deferred=True), entry(2), entry(3, kind="robot")]
    assert planned(queue, frozenset({"task"})) == [2, 3]
    assert planned(queue, frozenset({"task", "robot"})) == [1, 2, 3]
    assert planned(queue) == [1, 2, 3]


def test_a_base_is_lowered_only_where_it_names_a_lost_dot() -> None:
    known = Entity(*KEY, {"a": 1, "b": 2}, {})
    change = Change(Dot("a", 4), *KEY, "delete", {"a": 3, "b": 2})
    assert trimmed(change, known, [Dot("a", 3)]).base == {"a": 1, "b": 2}
    assert trimmed(change, known, [Dot("a", 2)]).base == {"a": 3, "b": 2}
    assert trimmed(change, None, [Dot("a", 3), Dot("b", 2)]).base == {}
    seen = replace(change, base={"a": 1})
    assert trimmed(seen, known, [Dot("a", 3)]) is seen


def test_a_fold_over_nothing_or_an_unknown_kind_shows_what_there_is() -> None:
    assert fold(None, [], SCHEMA).entity is None
    robot = Entity("robot", "1", {"b": 1}, {})
    assert fold(robot, [], SCHEMA).entity == robot
    orphaned = Change(Dot("a", 1), *KEY, "edit", {}, {"title": Patch("x")})
    assert fold(None, [Entry(orphaned, digest(orphaned))], SCHEMA).entity is None


def test_a_stamp_is_given_what_every_path_showed() -> None:
    device = MemoryDevice("a", SCHEMA)
    device.core.take_page(page(trunk(title="A")))
    seen: list[Stamp] = []
    device.core.write(KEY, lambda _shown, stamp: seen.append(stamp), now=5, transaction_id="t")
    assert [(stamp.base, stamp.transaction_id, stamp.dot) for stamp in seen] == [({"b": 1}, "t", Dot("a", 1))]
