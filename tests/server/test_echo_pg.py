"""A device is not sent back what it has just written; what it works out itself is what everybody else is sent."""

import asyncio

import msgspec
import pytest

from rightfit_server.feed.ahead import Standing, Written
from rightfit_server.feed.pages import NOTHING_MADE, Feed, Made, Pulled
from rightfit_server.ports.storage import CommitPlan, Committed, Identity, Viewer
from rightfit_sync.feed import Page, Row
from rightfit_sync.store import Key
from rightfit_sync.wire.codec import MSGPACK, decode
from rightfit_sync.wire.messages import SyncResponse
from tests.server.locks import feed_held, until_waiting
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


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each page that answered a push, whether it was known unread; it is read, too, and must be the same."""
    found: list[bool] = []
    pull = Feed.pull

    async def both(
        feed: Feed,
        identity: Identity,
        cursor: str | None,
        rows_max: int,
        made: Made = NOTHING_MADE,
        *,
        standing: Standing | None = None,
    ) -> Pulled:
        page = await pull(feed, identity, cursor, rows_max, made, standing=standing)
        if made.commit_seq:
            read = await pull(
                feed, identity, cursor, rows_max, made._replace(written=None), standing=standing
            )
            assert msgspec.msgpack.encode(page) == msgspec.msgpack.encode(read)
            is_known = made.written is not None and standing is not None
            found.append(is_known and made.written.ahead(standing, rows_max) is not None)
        return page

    monkeypatch.setattr(Feed, "pull", both)
    return found


async def test_the_page_after_a_push_is_known_unread_and_the_same(world: World, known: list[bool]) -> None:
    office, other = world.office(), world.phone("olga")
    world.subject("carl", ["contractor:carl"])
    carl = world.phone("carl")
    for phone in (office, other, carl):
        await phone.settle()
    for number in range(5):
        office.create(("job", f"j{number}"), {"title": "Boiler", "notes": "at no. 9", "contractor": "carl"})
    await office.settle()
    assert known.pop()
    await carl.settle()
    # A commit of somebody else is between.
    carl.edit(("job", "j1"), {"title": "Door", "notes": "at no. 10"})
    assert not known
    office.edit(("job", "j1"), {"title": "Roof", "notes": "at no. 11"})
    await carl.settle()
    assert known.pop()
    await office.settle()
    assert not known.pop()
    # Nobody is, and the one who made it loses sight of it, too; more rows than the page was to have.
    await carl.settle()
    for number in range(5):
        carl.edit(("job", f"j{number}"), {"contractor": None})
    await carl.settle(rows_max=2)
    assert known.pop()
    assert not carl.held()
    await office.settle()
    office.delete(("job", "j2"))
    await office.settle()
    assert known.pop()
    await other.settle()
    assert office.held() == other.held()


async def test_the_page_after_a_push_is_read_where_others_committed_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    of = Written.of

    def noted(plan: CommitPlan, committed: Committed, viewer: Viewer) -> Written | None:
        written = of(plan, committed, viewer)
        found.append(written is not None)
        return written

    monkeypatch.setattr(Written, "of", noted)
    office, other = world.office(), world.phone("olga")
    for phone in (office, other):
        await phone.settle()
    office.create(("job", "j1"), {"title": "Boiler"})
    other.create(("job", "j2"), {"title": "Door"})
    with feed_held(world.database):
        pushing = [asyncio.create_task(phone.round_trip()) for phone in (office, other)]
        await until_waiting(world.database, len(pushing))
    for push in pushing:
        await push
    assert found == [True, False]
    await office.settle()
    await other.settle()
    assert office.held() == other.held() == {("job", "j1"), ("job", "j2")}
