"""`rightfit tenant purge`: let go of deleted records that nobody has to hear of any more."""

from pathlib import Path

import psycopg
import rich_click as click

from rightfit_server.bootstrap import load_application
from rightfit_server.commands.options import (
    chosen,
    data_dir_option,
    json_option,
    owner_url_option,
    setting_option,
)
from rightfit_server.commands.outcome import console, explained, put_json
from rightfit_server.operations.database import open_database
from rightfit_server.postgres.administration import list_tenants
from rightfit_server.postgres.purge import Purged
from rightfit_server.postgres.purge import purge as purged
from rightfit_server.settings import read_settings
from rightfit_sync.errors import LocalError


@click.command()
@click.argument("tenant_id", required=False)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only count what would go.")
@setting_option("retention_days")
@data_dir_option
@owner_url_option
@json_option
@explained
def purge(
    *,
    tenant_id: str | None,
    is_dry: bool,
    retention_days: str | None,
    data_dir: Path,
    database_owner_url: str | None,
    as_json: bool,
) -> None:
    """Collect the tombstones of deleted records, of one tenant or of all.

    A tombstone goes once every device has read that the record is deleted. A device that was signed out, or is
    silent for longer than the retention period, is not waited for: when it returns, it pushes what it has and
    builds its copy anew. Tombstones that another record names, or that keep an edit which the delete had not
    seen, stay. The history stays. What has gone cannot be restored from a device. The server may run meanwhile.
    """
    settings = read_settings(chosen=chosen({"retention_days": retention_days}))
    schema = load_application(settings.application).schema
    with (
        open_database(data_dir, database_owner_url) as database,
        psycopg.connect(database.owner_url) as connection,
    ):
        known = [row.tenant_id for row in list_tenants(connection)]
        connection.commit()
        if tenant_id is not None and tenant_id not in known:
            raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant_id")
        reports = [
            purged(connection, one, schema, retention_days=settings.retention_days, is_dry=is_dry)
            for one in known
            if tenant_id in (None, one)
        ]
    if as_json:
        put_json(reports)
        return
    for report in reports:
        console().print(_sentence(report, is_dry=is_dry), soft_wrap=True)


def _sentence(report: Purged, *, is_dry: bool) -> str:
    going = f"{_tombstones(report.collected)} {'would go' if is_dry else 'gone'}"
    staying = [
        f"{count} {reason}"
        for count, reason in (
            (report.unread, "not read by everybody yet"),
            (report.named, "named by other records"),
            (report.disputed, "with an edit that no delete had seen"),
            (report.unknown, "of a kind that the application does not know"),
        )
        if count
    ]
    sentence = f"[bold]{report.tenant_id}[/bold]: {going}; {', '.join(staying) or 'none'} left"
    slowest = report.slowest
    if not report.unread or slowest is None:
        return f"{sentence}."
    seen = "never here" if slowest.last_seen_at is None else f"last here on {slowest.last_seen_at:%Y-%m-%d}"
    return (
        f"{sentence}. The slowest device is {slowest.device_id} of {slowest.subject_id}:"
        f" {seen}, at {slowest.acknowledged_seq} of {report.head}."
    )


def _tombstones(count: int) -> str:
    return f"{count} tombstone" if count == 1 else f"{count} tombstones"
