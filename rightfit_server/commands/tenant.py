"""`rightfit tenant`: who shares one set of records."""

from pathlib import Path

import psycopg
import rich_click as click
from rich.table import Table

from rightfit_server.commands.options import data_dir_option, json_option, owner_url_option
from rightfit_server.commands.outcome import console, explained, put_json
from rightfit_server.commands.purge import purge
from rightfit_server.operations.database import open_database
from rightfit_server.postgres.administration import create_tenant, list_tenants


@click.group()
def tenant() -> None:
    """Tenants: each has its own records, and sees nobody else's."""


tenant.add_command(purge)


@tenant.command("add")
@click.argument("tenant_id")
@click.option("--name", default="", help="What people call it.")
@data_dir_option
@owner_url_option
@json_option
@explained
def add(*, tenant_id: str, name: str, data_dir: Path, database_owner_url: str | None, as_json: bool) -> None:
    """Make a tenant."""
    with (
        open_database(data_dir, database_owner_url) as database,
        psycopg.connect(database.owner_url) as connection,
    ):
        made = create_tenant(connection, tenant_id, name)
    if as_json:
        put_json(made)
    else:
        console().print(
            f"Tenant [bold]{made.tenant_id}[/bold] is made. Next: rightfit device add {made.tenant_id} ..."
        )


@tenant.command("list")
@data_dir_option
@owner_url_option
@json_option
@explained
def listed(*, data_dir: Path, database_owner_url: str | None, as_json: bool) -> None:
    """List all tenants."""
    with (
        open_database(data_dir, database_owner_url) as database,
        psycopg.connect(database.owner_url) as connection,
    ):
        rows = list_tenants(connection)
    if as_json:
        put_json(rows)
        return
    table = Table("tenant", "name", "epoch", "feed")
    for row in rows:
        table.add_row(row.tenant_id, row.name, row.epoch, str(row.head))
    console().print(table)
