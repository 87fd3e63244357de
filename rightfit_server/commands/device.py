"""`rightfit device`: the installations that sync, each with a token of its own."""

from pathlib import Path

import psycopg
import rich_click as click
from rich.table import Table

from rightfit_server.commands.options import data_dir_option, json_option, owner_url_option
from rightfit_server.commands.outcome import console, explained, put_json
from rightfit_server.operations.database import open_database
from rightfit_server.operations.devices import enter_device, role_tags
from rightfit_server.postgres.administration import list_subjects, revoke_device


@click.group()
def device() -> None:
    """Devices: each belongs to one subject (user) of a tenant and holds one replica."""


@device.command("add")
@click.argument("tenant_id")
@click.argument("subject_id")
@click.option("--role", default=None, help="Give the subject this role's tags: landlord or contractor.")
@click.option("--of", "of", default="", help="With --role contractor: the id of the contractor's record.")
@click.option("--tag", "tags", multiple=True, help="Give the subject this tag, too.")
@click.option("--name", default="", help="What people call the device.")
@data_dir_option
@owner_url_option
@json_option
@explained
def add(
    *,
    tenant_id: str,
    subject_id: str,
    role: str | None,
    of: str,
    tags: tuple[str, ...],
    name: str,
    data_dir: Path,
    database_owner_url: str | None,
    as_json: bool,
) -> None:
    """Enter a device and print its token.

    The subject is made if it is new. Whoever holds the token is the device: keep it as you keep a password.
    """
    wanted = [*role_tags(role, of, subject_id), *tags]
    with open_database(data_dir, database_owner_url) as database:
        token = enter_device(database, tenant_id, subject_id, wanted, name)
    if as_json:
        put_json(token)
    else:
        # A token has to be copied whole, so it is not wrapped.
        console().print(f"Device [bold]{token.device_id}[/bold] of {subject_id}. Its token:")
        click.echo(token.token)


@device.command("list")
@click.argument("tenant_id")
@data_dir_option
@owner_url_option
@json_option
@explained
def listed(*, tenant_id: str, data_dir: Path, database_owner_url: str | None, as_json: bool) -> None:
    """List a tenant's subjects with their tags and devices."""
    with (
        open_database(data_dir, database_owner_url) as database,
        psycopg.connect(database.owner_url) as connection,
    ):
        rows = list_subjects(connection, tenant_id)
    if as_json:
        put_json(rows)
        return
    table = Table("subject", "tags", "devices")
    for row in rows:
        table.add_row(row.subject_id, "\n".join(row.tags), "\n".join(row.device_ids))
    console().print(table)


@device.command("revoke")
@click.argument("tenant_id")
@click.argument("device_id")
@data_dir_option
@owner_url_option
@json_option
@explained
def revoke(
    *, tenant_id: str, device_id: str, data_dir: Path, database_owner_url: str | None, as_json: bool
) -> None:
    """Sign a device out: its token is worth nothing from now on."""
    with (
        open_database(data_dir, database_owner_url) as database,
        psycopg.connect(database.owner_url) as connection,
    ):
        revoke_device(connection, tenant_id, device_id)
    if as_json:
        put_json({"device_id": device_id, "revoked": True})
    else:
        console().print(f"Device [bold]{device_id}[/bold] is signed out.")
