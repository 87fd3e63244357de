"""F11 in memory: what a subject may see comes and goes; nothing that it wrote is dropped."""

import msgspec

from rightfit_sync import Change, Entity, Outcome, Schema
from rightfit_sync.audience import own_tags
from rightfit_sync.records import rejected
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice, rejected_codes

SCHEMA = msgspec.convert(
    {
        "schema_version": 1,
        "kinds": {
            "house": {"fields": {"name": {"type": "str"}}, "audience": ["office"]},
            "job": {
                "fields": {
                    "title": {"type": "str"},
                    "notes": {"merge": "text"},
                    "worker": {"type": "str"},
                    "house_id": {"type": "str"},
                },
                "references": {"house_id": {"kind": "house", "lends_audience": True}},
                "audience": ["office", "worker:{worker}"],
            },
            "comment": {
                "fields": {"text": {"type": "str"}, "job_id": {"type": "str"}},
                "references": {"job_id": {"kind": "job", "on_delete": "cascade", "inherits_audience": True}},
            },
        },
    },
    Schema,
)
HOUSE, JOB, COMMENT = ("house", "h"), ("job", "j"), ("comment", "c")


class Firm:
    """An office and two workers; a worker may change only what is its own."""

    def __init__(self) -> None:
        self.authority = MemoryAuthority(SCHEMA, authorize=self.authorize)
        self.time = 0
        self.office = self.enter("office", ["office"])
        self.ann = self.enter("ann", ["worker:ann"])
        self.bob = self.enter("bob", ["worker:bob"])
        self.office.create(HOUSE, {"name": "Mill Lane 1"})
        self.office.create(JOB, {"title": "Boiler", "notes": "one two", "worker": "ann", "house_id": "h"})
        self.office.create(COMMENT, {"text": "ring first", "job_id": "j"})
        self.sync()

    def enter(self, name: str, tags: list[str]) -> MemoryDevice:
        self.authority.grant(name, tags)
        self.authority.register(name, name)
        return MemoryDevice(name, SCHEMA, subject=name)

    def authorize(self, subject: str, entity: Entity | None, change: Change) -> Outcome | None:
        tags = self.authority.grants[subject].tags
        sees = entity is None or "office" in tags or own_tags(entity, SCHEMA) & tags
        return (
            None if sees else rejected("unknown_entity", f"{change.kind} {change.entity_id} does not exist")
        )

    def sync(self, *devices: MemoryDevice) -> None:
        for device in devices or (self.office, self.ann, self.bob):
            self.time += 1
            device.sync(self.authority, self.time)

    def reassign(self, worker: str) -> None:
        self.office.edit(JOB, {"worker": worker})
        self.sync(self.office)


def held(device: MemoryDevice) -> set[str]:
    return {key[1] for key in (HOUSE, JOB, COMMENT) if device.entity(key) is not None}


def test_F11_a_worker_sees_its_job_with_the_house_and_the_comments() -> None:
    firm = Firm()
    assert (held(firm.office), held(firm.ann), held(firm.bob)) == ({"h", "j", "c"}, {"h", "j", "c"}, set())


def test_F11_reassigned_is_evicted_here_and_delivered_there() -> None:
    firm = Firm()
    firm.reassign("bob")
    firm.sync()
    assert (held(firm.ann), held(firm.bob)) == (set(), {"h", "j", "c"})
    assert firm.office.view(JOB)["worker"] == "bob"
    assert not firm.authority.conflicts(JOB)


def test_F11_pending_edits_of_an_evicted_record_come_back_with_their_payload() -> None:
    firm = Firm()
    firm.ann.edit(JOB, {"title": "Boiler mended"})
    firm.ann.edit(JOB, {"notes": "one two three"})
    own = ("job", "own")
    firm.ann.create(own, {"title": "Tap", "worker": "ann"})
    firm.reassign("bob")
    firm.ann.take(firm.authority.sync("ann", firm.ann.request(0), 50))
    assert held(firm.ann) == set()
    assert len(list(firm.ann.store.pending())) == 3
    firm.sync(firm.ann)
    assert rejected_codes(firm.ann) == ["unknown_entity", "unknown_entity"]
    (first, second) = firm.ann.store.rejected()
    assert (first.change.patches["title"].value, second.change.patches["notes"].value) == (
        "Boiler mended",
        "one two three",
    )
    assert firm.ann.view(own)["title"] == "Tap"


def test_F11_revoked_by_ones_own_edit() -> None:
    firm = Firm()
    firm.ann.edit(JOB, {"worker": "bob", "title": "over to bob"})
    firm.sync(firm.ann)
    assert held(firm.ann) == set()
    assert not list(firm.ann.store.pending())
    assert not firm.ann.store.acknowledged()
    assert not firm.ann.store.rejected()
    firm.sync()
    assert firm.bob.view(JOB)["title"] == "over to bob"


def test_F11_what_ones_own_create_gives_to_others_leaves_ones_screen() -> None:
    firm = Firm()
    gift = ("job", "gift")
    firm.ann.create(gift, {"title": "for bob", "worker": "bob"})
    assert firm.ann.view(gift)["title"] == "for bob"
    firm.sync()
    assert firm.ann.entity(gift) is None
    assert firm.bob.view(gift)["title"] == "for bob"
    assert not firm.ann.store.acknowledged()


def test_F11_a_grant_brings_rows_below_the_cursor_and_its_end_takes_them_back() -> None:
    firm = Firm()
    firm.authority.grant("bob", ["worker:bob", "worker:ann"])
    firm.sync(firm.bob)
    assert held(firm.bob) == {"h", "j", "c"}
    firm.authority.grant("bob", ["worker:bob"])
    firm.sync(firm.bob)
    assert held(firm.bob) == set()


def test_F11_one_row_through_two_tags_stays_while_one_of_them_does() -> None:
    firm = Firm()
    firm.authority.grant("bob", ["office", "worker:ann"])
    firm.sync(firm.bob)
    firm.authority.grant("bob", ["worker:ann"])
    firm.sync(firm.bob)
    assert held(firm.bob) == {"h", "j", "c"}
    firm.authority.grant("bob", ["worker:bob"])
    firm.sync(firm.bob)
    assert held(firm.bob) == set()


def test_F11_a_tag_swapped_for_another_that_shows_the_same_row() -> None:
    firm = Firm()
    firm.authority.grant("bob", ["office"])
    firm.sync(firm.bob)
    firm.authority.grant("bob", ["worker:ann"])
    firm.sync(firm.bob)
    assert held(firm.bob) == {"h", "j", "c"}


def test_F11_an_evicted_text_that_comes_back_goes_on_with_its_pending_words() -> None:
    firm = Firm()
    firm.ann.edit(JOB, {"notes": "one two three"})
    firm.reassign("bob")
    firm.sync(firm.bob)
    firm.bob.edit(JOB, {"notes": "zero one two"})
    firm.sync(firm.bob)
    firm.ann.take(firm.authority.sync("ann", firm.ann.request(0), 50))
    assert held(firm.ann) == set()
    firm.reassign("ann")
    firm.sync(firm.ann, firm.office)
    assert firm.ann.view(JOB)["notes"] == firm.office.view(JOB)["notes"] == "zero one two three"
    assert not firm.ann.store.rejected()


def test_F11_a_delete_is_a_tombstone_and_no_eviction() -> None:
    firm = Firm()
    firm.office.delete(JOB)
    firm.sync()
    assert firm.ann.view(JOB) == {}
    assert firm.ann.entity(JOB) is not None
    assert held(firm.ann) == {"j", "c"}
