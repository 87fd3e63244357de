"""What the tests of the purge have in common: records and their end, devices that fall silent, and the judge."""

import psycopg

from rightfit_server.audit.audit import audit
from rightfit_server.postgres.purge import Purged, purge
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key
from tests.server.application import SCHEMA
from tests.server.world import TENANT, Database, Phone, World

BOILER, TAP, ROOF = ("job", "boiler"), ("job", "tap"), ("job", "roof")
QUAY, MILL = ("site", "quay"), ("site", "mill")
RETENTION_DAYS = 180


def purged(database: Database, schema: Schema = SCHEMA, *, is_dry: bool = False) -> Purged:
    with psycopg.connect(database.owner_url) as connection:
        return purge(connection, TENANT, schema, retention_days=RETENTION_DAYS, is_dry=is_dry)


def check(database: Database, schema: Schema = SCHEMA) -> None:
    assert list(audit(database.owner_url, TENANT, schema).findings) == []


def stored(database: Database) -> set[Key]:
    return set(database.rows("SELECT kind, entity_id FROM app.entities"))


async def settle(*phones: Phone) -> None:
    """Let all send and fetch everything, and say that they have."""
    for _ in range(2):
        for phone in phones:
            await phone.settle()


def silence(phone: Phone, days: float = RETENTION_DAYS + 1) -> None:
    """Let a device have been here last so many days ago."""
    phone.world.database.rows(
        "UPDATE app.devices SET last_seen_at = now() - make_interval(secs => %s), created_at = '2020-01-01'"
        " WHERE device_id = %s RETURNING 1",
        (days * 86_400, phone.device_id),
    )


async def boiler_deleted(world: World) -> tuple[Phone, Phone]:
    """Two phones; both have read that the boiler is deleted."""
    office, other = world.office(), world.phone("olga")
    for key in (BOILER, TAP):
        office.create(key, {"title": "x", "notes": "y"})
    await settle(office, other)
    office.delete(BOILER)
    await settle(office, other)
    return office, other
