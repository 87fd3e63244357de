"""A device is not sent back what it has just written; what it works out itself is what everybody else is sent."""

import pytest

from rightfit_sync.feed import Page, Row
from rightfit_sync.store import Key
from rightfit_sync.wire.codec import MSGPACK, decode
from rightfit_sync.wire.messages import SyncResponse
from tests.server.world import Phone, World

pytestmark = pytest.mark.anyio


async def healed(phone: Phone) -> list[Page]:
    """Sync as the SDK does; return the pages that came."""
    phone.asked.clear()
    await phone.heal()
    answers = [decode(response.content, MSGPACK, SyncResponse) for response in phone.asked]
    return [answer.page for answer in answers if answer.page is not None]


def rows(phone: Phone) -> dict[Key, Row]:
    return dict(phone.store.trunks(phone.held()))


async def test_own_rows_are_told_by_their_numbers_and_others_are_sent(world: World) -> None:
    phone, other = world.office(), world.phone("olga")
    for number in range(20):
        phone.create(("job", f"j{number}"), {"title": "Boiler", "notes": "Key at no. 9", "tags": ["gas"]})
    (page,) = await healed(phone)
    assert (len(page.rows), len(page.own)) == (0, 20)
    (page,) = await healed(other)
    assert (len(page.rows), len(page.own)) == (20, 0)
    assert rows(phone) == rows(other)
    other.edit(("job", "j0"), {"title": "Boiler leaks"})
    await healed(other)
    for number in range(10):
        phone.edit(("job", f"j{number}"), {"title": "Boiler drips", "cost_pence": 7})
        phone.edit(("job", f"j{number}"), {"notes": "Key at no. 11"})
    phone.delete(("job", "j10"))
    (page,) = await healed(phone)
    assert [row.entity.entity_id for row in page.rows] == ["j0"]
    assert sorted(own.place for own in page.own) == [*range(3, 20, 2), 20]
    await healed(other)
    assert rows(phone) == rows(other)


async def test_own_rows_carry_the_tags_by_which_they_are_seen(world: World) -> None:
    phone, other = world.office(), world.phone("olga")
    world.grant("olga", ["office", "contractor:carl"])
    phone.create(("job", "j1"), {"title": "Boiler", "contractor": "carl"})
    phone.create(("job", "j2"), {"title": "Door"})
    (page,) = await healed(phone)
    assert (len(page.rows), [list(own.tags) for own in page.own]) == (
        0,
        [["contractor:carl", "office"], ["office"]],
    )
    await healed(other)
    assert rows(phone) == rows(other)


async def test_what_a_change_brings_about_elsewhere_is_sent(world: World) -> None:
    phone = world.office()
    phone.create(("job", "j1"), {"title": "Boiler"})
    phone.create(("note", "n1"), {"body": "It drips", "job_id": "j1"})
    await healed(phone)
    phone.delete(("job", "j1"))
    (page,) = await healed(phone)
    assert [row.entity.entity_id for row in page.rows] == ["n1"]
    assert len(page.own) == 1


async def test_a_phone_with_another_schema_is_sent_everything(world: World) -> None:
    phone = world.office()
    phone.core.schema = type(phone.core.schema)(2, phone.core.schema.kinds)
    phone.create(("job", "j1"), {"title": "Boiler"})
    (page,) = await healed(phone)
    assert (len(page.rows), len(page.own)) == (1, 0)
