"""What the tests of restores have in common: a backup of the whole database, and putting it back."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from rightfit_server.audit.audit import audit
from rightfit_server.postgres.epoch import begin_epoch
from tests.server.application import SCHEMA
from tests.server.world import TENANT, Database, Phone, World, create_database

ROUNDS_MAX = 6


def back_up(database: Database) -> str:
    """Copy the database, to which nobody may be connected, and return the copy's name."""
    name = f"{database.name}_backup"
    create_database(database.server, name, database.name)
    return name


def put_back(database: Database, backup: str, *, is_noticed: bool) -> None:
    """Replace the database by its backup; where that `is_noticed`, an epoch begins, as `rightfit restore` does."""
    with psycopg.connect(database.server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))
    create_database(database.server, database.name, backup)
    if is_noticed:
        with psycopg.connect(database.owner_url) as connection:
            begin_epoch(connection, TENANT)


def drop(database: Database, backup: str) -> None:
    with psycopg.connect(database.server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(backup)))


def move(phones: Sequence[Phone], world: World) -> None:
    """Let these phones talk to the server of another life of the database."""
    for phone in phones:
        phone.world = world


async def heal(*phones: Phone) -> None:
    """Let all sync, again and again, until nobody brings or gets anything."""
    for _ in range(ROUNDS_MAX):
        done = [await phone.heal() for phone in phones]
        if not any(one.pushed or one.pulled for one in done):
            return
    raise AssertionError(f"still busy after {ROUNDS_MAX} rounds")


def check(database: Database) -> None:
    """The audit finds nothing."""
    assert list(audit(database.owner_url, TENANT, SCHEMA).findings) == []


def epochs(database: Database) -> list[str]:
    """All epochs of the tenant so far."""
    rows = database.rows("SELECT device_id FROM app.devices WHERE subject_id IS NULL ORDER BY created_at")
    return [device_id.removeprefix("server:") for (device_id,) in rows]
