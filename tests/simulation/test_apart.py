"""Four people who edit, offline, what nobody else edits: nothing of it may conflict, and all of it must be there.

The ledger of the simulation says that two people who wrote at one place unseen *may* be in conflict; this says where
they must not be: different fields, elements and words, counts, and values that are the same.
"""

from collections import Counter
from random import Random

import pytest

from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.testing.simulation import SCHEMA
from rightfit_sync.values import Value

JOB, MEMO, TASK, SITE = ("job", "j"), ("memo", "m"), ("task", "t"), ("site", "s")
WORDS = ["red", "green", "blue", "white"]
FIELDS: list[dict[str, Value]] = [
    {"title": "t0"},
    {"serial": "N1"},
    {"stage": "DONE", "by": "ann"},
    {"start": 1, "end": 5},
]


class Office:
    """Four devices that share a job, a memo, a task and a site."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.authority = MemoryAuthority(SCHEMA)
        self.authority.grant("everybody", ["office"])
        self.time = 0
        self.devices = [MemoryDevice(f"dev{letter}", SCHEMA) for letter in "abcd"]
        for device in self.devices:
            self.authority.register(device.device_id, "everybody")
        first, text = self.devices[0], " ".join(WORDS)
        first.create(SITE, {"title": "site"})
        items: dict[str, Value] = {f"items/{place}": "V" for place in (1, 2, 3)}
        first.create(JOB, {"notes": text, "log": text, "cost": 10, "site_id": "s", **items})
        first.create(MEMO, {"title": "memo", "job_id": "j"})
        first.create(TASK, {"title": "task", "site_id": "s"})
        self.sync_all()

    def sync_all(self) -> None:
        for device in (*self.devices, *self.devices):
            self.time += 1
            device.sync(self.authority, self.time)

    def exchange(self, device: MemoryDevice) -> None:
        """Do one round trip of a few changes, whose answer may get lost."""
        self.time += 1
        request = device.request(self.random.choice([1, 2, 100]), self.random.choice([1, 3, 1000]))
        response = self.authority.sync(device.token, request, self.time)
        if self.random.random() < 0.8:
            device.take(response)

    def edit(self, place: int) -> None:
        """Make this device's own edits, in any order, syncing now and then."""
        device = self.devices[place]
        edits: list[dict[str, Value]] = [
            FIELDS[place],
            {f"meta/{place}": f"word{place}"},
            {f"tags/{place}": True},
            {"tags/shared": True},
            {"cost": None},
            {"high": self.random.randrange(50)},
            {"low": self.random.randrange(50)},
            {"notes": None},
            {"log": None},
        ]
        if place:
            edits += [{f"items/{place}/text": "word"}, {f"items/{place}": self.random.choice("AMz")}]
        self.random.shuffle(edits)
        for wanted in edits:
            device.edit(JOB, self.over_what_is_shown(device, place, wanted))
            if self.random.random() < 0.4:
                self.exchange(device)

    @staticmethod
    def over_what_is_shown(device: MemoryDevice, place: int, wanted: dict[str, Value]) -> dict[str, Value]:
        shown = device.view(JOB)
        (path, value), *_ = wanted.items()
        if path in ("notes", "log"):
            return {path: str(shown[path]).replace(WORDS[place], WORDS[place].upper())}
        return {path: int(str(shown[path])) + place * 7 + 1} if path == "cost" else {**wanted, path: value}


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_edits_of_different_things_never_conflict_and_all_are_there(first: int) -> None:
    outcomes = Counter[str]()
    for seed in range(first, first + 50):
        office = Office(seed)
        for place in office.random.sample(range(4), 4):
            office.edit(place)
        office.devices[0].edit(MEMO, {"title": "other"})
        office.devices[1].edit(MEMO, {"job_id": None})
        office.sync_all()
        outcomes.update(recorded.outcome.status for recorded in office.authority.history)
        assert not [one for key in office.authority.held for one in office.authority.conflicts(key)], seed
        for device in office.devices:
            shown = device.view(JOB)
            assert shown["notes"] == shown["log"] == " ".join(WORDS).upper(), seed
            assert shown["cost"] == 10 + 1 + 8 + 15 + 22, seed
            assert shown["tags"] == ["0", "1", "2", "3", "shared"], seed
            assert (shown["title"], shown["serial"], shown["by"], shown["end"]) == ("t0", "N1", "ann", 5)
            assert shown == office.devices[0].view(JOB), seed
            assert device.view(MEMO) == {"title": "other", "job_id": None}
    # A lost answer makes a device take a new id, and what had arrived under the old one is a duplicate.
    assert set(outcomes) <= {"applied", "merged", "duplicate"}
    assert outcomes["merged"] > 50


def test_only_planted_rejections_occur() -> None:
    office = Office(1)
    office.devices[0].edit(TASK, {"site_id": "nowhere"})
    office.devices[1].delete(SITE)
    office.devices[2].edit(JOB, {"title": "t2"})
    office.sync_all()
    rejected = [one.outcome.code for one in office.authority.history if not one.outcome.is_accepted]
    assert rejected == ["unknown_reference", "restricted"]
