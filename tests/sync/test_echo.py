"""A device is not sent back what it has just written: it works that out itself, and notices where it comes to else."""

from collections.abc import Callable

import pytest
from msgspec import json
from msgspec.structs import replace

from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import Own, Page, Row
from rightfit_sync.store import Key
from rightfit_sync.testing.device import MemoryDevice
from rightfit_sync.wire.codec import JSON, MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncRequest, SyncResponse
from tests.sync.history import JOB, World

OTHER = ("job", "2")
NOW = 1_000
Change = Callable[[SyncResponse], SyncResponse]


def synced(world: World, device: MemoryDevice, spoil: Change = lambda response: response) -> list[Page]:
    """Sync, the answers changed by `spoil` on the way; return their pages."""
    pages: list[Page] = []
    steps = device.session()
    call = next(steps)
    while True:
        assert isinstance(call.request, SyncRequest)
        answer = world.authority.sync(device.token, call.request, NOW)
        for content_type in (MSGPACK, JSON):
            read = decode(encode(answer, content_type), content_type, SyncResponse)
            assert json.decode(encode(read, JSON)) == json.decode(encode(answer, JSON))
        response = spoil(answer)
        assert response.page is not None
        pages.append(response.page)
        try:
            call = steps.send(response)
        except StopIteration:
            return pages


def rows(world: World) -> dict[Key, Row]:
    """What a fresh device is sent."""
    fresh = MemoryDevice("fresh", world.authority.schema)
    world.authority.register("fresh", "everybody")
    fresh.sync(world.authority, NOW)
    return held(fresh)


def held(device: MemoryDevice) -> dict[Key, Row]:
    return dict(device.store.trunks([key for key, _ in device.store.trunk_tags()]))


def test_what_a_device_wrote_is_told_by_its_number() -> None:
    world = World("ann", "bob")
    ann, bob = world.devices
    ann.edit(JOB, {"title": "Boiler leaks", "cost": 5})
    ann.create(OTHER, {"title": "Door", "notes": "Key at no. 9"})
    ann.edit(OTHER, {"notes": "Key at no. 11"})
    ann.delete(JOB)
    (page,) = synced(world, ann)
    assert not page.rows
    assert sorted(own.place for own in page.own) == [2, 3]
    assert held(ann) == rows(world)
    (page,) = synced(world, bob)
    assert (len(page.rows), len(page.own)) == (2, 0)


def test_what_somebody_else_had_a_part_in_is_sent() -> None:
    world = World("ann", "bob")
    ann, bob = world.devices
    bob.edit(JOB, {"title": "Boiler drips"})
    bob.sync(world.authority, NOW)
    ann.edit(JOB, {"other": "no light"})
    ann.create(OTHER, {"title": "Door"})
    (page,) = synced(world, ann)
    assert [row.entity.entity_id for row in page.rows] == ["1"]
    assert [own.place for own in page.own] == [1]
    assert held(ann) == rows(world)


def test_what_was_applied_otherwise_than_it_came_is_sent() -> None:
    world = World("ann")
    (ann,) = world.devices
    ann.clock = lambda: NOW + 1
    ann.edit(JOB, {"title": "Boiler leaks"})
    (page,) = synced(world, ann)
    assert (len(page.rows), len(page.own)) == (1, 0)
    assert held(ann) == rows(world)


def test_another_schema_is_sent_everything() -> None:
    world = World("ann")
    (ann,) = world.devices
    world.authority.schema = replace(world.authority.schema, schema_version=2)
    ann.edit(JOB, {"title": "Boiler leaks"})
    (page,) = synced(world, ann)
    assert (len(page.rows), len(page.own)) == (1, 0)


def test_a_copy_that_went_wrong_comes_to_light_and_is_mended() -> None:
    world = World("ann")
    (ann,) = world.devices
    row = held(ann)[JOB]
    title = [replace(row.entity.fields["title"][0], value="Toiler")]
    wrong = replace(row.entity, fields={**row.entity.fields, "title": title})
    ann.store.put_trunks([Row(row.seq, wrong, row.tags, seal=row.seal)])
    ann.edit(JOB, {"other": "no light"})
    left_out, whole = synced(world, ann)
    assert (len(left_out.own), len(left_out.rows)) == (1, 0)
    assert (len(whole.own), len(whole.rows)) == (0, 1)
    assert held(ann) == rows(world)
    assert not list(ann.store.pending())
    assert not ann.store.acknowledged()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda page: replace(page, own_digest=b""),
        lambda page: replace(page, own=[replace(page.own[0], place=7)]),
        lambda page: replace(page, own=[replace(page.own[0], place=-1)]),
        lambda page: replace(page, own=[]),
    ],
)
def test_rows_that_do_not_come_to_what_they_should_are_asked_for(spoil: Callable[[Page], Page]) -> None:
    world = World("ann")
    (ann,) = world.devices
    ann.edit(JOB, {"title": "Boiler leaks"})

    def spoiled(response: SyncResponse) -> SyncResponse:
        page = response.page
        return replace(response, page=spoil(page)) if page is not None and page.own else response

    pages = synced(world, ann, spoiled)
    assert held(ann) == rows(world)
    assert [len(page.rows) for page in pages] == [0, 1]


def test_rows_left_out_again_and_again_end_the_sync() -> None:
    world = World("ann")
    (ann,) = world.devices
    ann.edit(JOB, {"title": "Boiler leaks"})

    def spoiled(response: SyncResponse) -> SyncResponse:
        page = response.page
        assert page is not None
        return replace(
            response, page=replace(page, rows=(), own=[Own(2, 0, seal=b"s" * 16)], own_digest=b"?")
        )

    with pytest.raises(RemoteError, match="leaves out rows"):
        synced(world, ann, spoiled)
    assert ann.view(JOB)["title"] == "Boiler leaks"
