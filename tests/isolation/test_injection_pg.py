"""What people write is never SQL: in ids, texts and names it stays text, and the tenant stays the token's."""

import pytest

from rightfit_sync.errors import LocalError
from tests.server.world import TENANT, World

OTHER = "other"
ESCAPES = (
    f"'; SELECT set_config('app.tenant_id', '{OTHER}', true); --",
    f"\\'); SELECT set_config('app.tenant_id', '{OTHER}', false); --",
    f"$$; SET app.tenant_id = '{OTHER}'; $$",
    "%s %(tenant_id)s {} {0} :tenant_id",
    '"; RESET ROLE; SET ROLE NONE; --',
)


async def neighbour(world: World) -> None:
    """Another tenant with a record of its own."""
    stranger = world.office("sam", OTHER)
    stranger.create(("job", "theirs"), {"title": "Roof"})
    await stranger.settle()


@pytest.mark.anyio
@pytest.mark.parametrize("words", ESCAPES)
async def test_T10_what_a_device_writes_sets_no_tenant(world: World, words: str) -> None:
    await neighbour(world)
    ann = world.office()
    key = ("job", words)
    ann.create(key, {"title": words})
    ann.edit(key, {"title": f"{words} {words}"})
    await ann.settle()
    assert list(ann.store.pending()) == []
    assert ann.view(key)["title"] == f"{words} {words}"
    assert world.database.rows("SELECT entity_id FROM app.entities") == [(words,)]
    assert world.database.rows("SELECT entity_id FROM app.entities", tenant_id=OTHER) == [("theirs",)]


@pytest.mark.anyio
@pytest.mark.parametrize("words", ESCAPES)
async def test_T10_names_of_subjects_and_devices_set_no_tenant(world: World, words: str) -> None:
    await neighbour(world)
    with pytest.raises(LocalError, match="no tenant id"):
        world.tenant(words)
    world.tenant()
    world.subject(words, ["office"])
    ann = world.phone(words, device_id=words)
    ann.create(("job", "mine"), {"title": "Boiler"})
    await ann.settle()
    assert ann.entity(("job", "theirs")) is None
    assert world.database.rows("SELECT entity_id FROM app.entities", tenant_id=TENANT) == [("mine",)]
    assert world.database.rows("SELECT entity_id FROM app.entities", tenant_id=OTHER) == [("theirs",)]
