"""Retry does again what was meant, on what is there now, and never twice what had arrived after all."""

import msgspec

from rightfit_sync import Change, Entity, Outcome, Schema
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "shelf": {
                "fields": {"count": {"merge": "counter", "type": "int"}, "note": {"merge": "text"}},
                "audience": ["all"],
            }
        },
    },
    Schema,
)
SHELF = ("shelf", "1")


class Guard:
    """Refuses whatever ann writes, while it is closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __call__(self, _subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
        refuses = self.is_closed and change.dot.device_id == "ann"
        return rejected("forbidden", "not now") if refuses else None


def world() -> tuple[MemoryAuthority, MemoryDevice, MemoryDevice, Guard]:
    guard = Guard()
    authority = MemoryAuthority(SCHEMA, authorize=guard)
    authority.grant("everybody", ["all"])
    ann, bob = MemoryDevice("ann", SCHEMA), MemoryDevice("bob", SCHEMA)
    for device in (ann, bob):
        authority.register(device.device_id, "everybody")
    ann.create(SHELF, {"count": 10, "note": "red tins"})
    ann.sync(authority, 1)
    bob.sync(authority, 1)
    return authority, ann, bob, guard


def test_a_retried_change_is_merged_into_what_has_moved_on() -> None:
    authority, ann, bob, guard = world()
    ann.edit(SHELF, {"count": 12, "note": "dark red tins"})
    bob.edit(SHELF, {"count": 50, "note": "red tins above"})
    bob.sync(authority, 2)
    guard.is_closed = True
    ann.sync(authority, 3)
    assert rejected_codes(ann) == ["forbidden"]
    assert ann.view(SHELF) == {"count": 50, "note": "red tins above"}
    guard.is_closed = False
    ann.core.retry(ann.store.rejected()[0].change.dot, 4)
    assert ann.view(SHELF) == {"count": 52, "note": "dark red tins above"}
    ann.sync(authority, 5)
    bob.sync(authority, 5)
    assert bob.view(SHELF) == {"count": 52, "note": "dark red tins above"}
    assert not ann.conflicts(SHELF)
    assert not ann.store.rejected()


def test_F02_what_was_set_aside_and_retried_counts_once_if_it_had_arrived() -> None:
    authority, ann, _, _ = world()
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    authority.sync("ann", ann.request(), 2)
    ann.core.set_aside(change.dot, rejected("discarded", "it takes too long"))
    ann.core.retry(change.dot, 3)
    ann.edit(SHELF, {"count": 20})
    ann.sync(authority, 4)
    assert ann.view(SHELF)["count"] == 20
    ann.edit(SHELF, {"count": 13})
    ann.sync(authority, 5)
    assert ann.view(SHELF)["count"] == 13
    assert not ann.store.rejected()
    assert not list(ann.store.pending())
    assert not ann.store.acknowledged()


def test_what_was_set_aside_keeps_its_payload_when_the_authority_had_refused_it() -> None:
    authority, ann, _, guard = world()
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    guard.is_closed = True
    authority.sync("ann", ann.request(), 2)
    ann.core.set_aside(change.dot, rejected("discarded", "it takes too long"))
    ann.sync(authority, 3)
    assert [one.change for one in ann.store.rejected()] == [change]
    assert not list(ann.store.pending())


def test_a_retry_pushed_together_with_the_void_of_what_it_retries_is_no_lost_answer() -> None:
    authority, ann, _, _ = world()
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    ann.core.set_aside(change.dot, rejected("discarded", "not yet"))
    ann.edit(SHELF, {"note": "blue tins"})
    ann.core.retry(change.dot, 3)
    ann.sync(authority, 4)
    assert rejected_codes(ann) == []
    assert ann.view(SHELF) == {"count": 12, "note": "blue tins"}


def test_F05_a_retry_that_had_arrived_counts_once_though_its_original_was_refused() -> None:
    authority, ann, _, guard = world()
    guard.is_closed = True
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    ann.sync(authority, 2)
    guard.is_closed = False
    ann.core.retry(change.dot, 3)
    authority.sync("ann", ann.request(), 4)
    ann.core.take_new_id()
    ann.sync(authority, 5)
    assert rejected_codes(ann) == []
    assert ann.view(SHELF)["count"] == 12


def test_F05_a_retry_that_had_arrived_and_was_given_up_then_is_not_rejected() -> None:
    authority, ann, _, _ = world()
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    ann.core.set_aside(change.dot, rejected("discarded", "not yet"))
    ann.sync(authority, 2)
    again = ann.core.retry(change.dot, 3)
    assert again is not None
    authority.sync("ann", ann.request(), 4)
    ann.core.set_aside(again.dot, rejected("discarded", "it takes too long"))
    ann.core.take_new_id()
    ann.sync(authority, 5)
    assert not ann.store.rejected()
    assert not list(ann.store.pending())
    assert ann.view(SHELF)["count"] == 12


def test_F08_what_had_arrived_before_it_was_given_up_is_said_again_after_a_restore() -> None:
    authority, ann, _, _ = world()
    ann.sync(authority, 2)
    backup = authority.copy()
    change = ann.edit(SHELF, {"count": 12})
    assert change is not None
    answer = authority.sync("ann", ann.request(), 3)
    ann.core.set_aside(change.dot, rejected("discarded", "it takes too long"))
    ann.core.take_receipts(answer.receipts)
    assert not ann.store.rejected()
    assert ann.view(SHELF)["count"] == 12
    authority.put_back(backup)
    authority.begin_epoch()
    ann.sync(authority, 4)
    held = authority.entity(SHELF)
    assert held is not None
    assert [one.value for one in held.fields["count"]] == [12]
    assert ann.view(SHELF)["count"] == 12
    assert not list(ann.store.pending())
    assert not ann.store.acknowledged()


def test_F08_a_record_says_which_dots_of_its_vector_were_refused() -> None:
    authority, ann, _, guard = world()
    guard.is_closed = True
    refused = ann.edit(SHELF, {"count": 12})
    assert refused is not None
    ann.sync(authority, 2)
    guard.is_closed = False
    ann.edit(SHELF, {"note": "blue tins"})
    ann.sync(authority, 3)
    held = authority.entity(SHELF)
    assert held is not None
    assert list(held.lacking) == [refused.dot]
    assert held.version_vector["ann"] > refused.dot.counter
