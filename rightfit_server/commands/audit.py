"""`rightfit audit`: prove on a live database that no change is lost."""

from pathlib import Path

import psycopg
import rich_click as click
from rich.table import Table

from rightfit_server.audit.audit import audit as audited
from rightfit_server.audit.report import Report
from rightfit_server.bootstrap import load_application
from rightfit_server.commands.options import data_dir_option, json_option, owner_url_option
from rightfit_server.commands.outcome import WRONG_DATA, console, explained, put_json
from rightfit_server.operations.database import open_database
from rightfit_server.postgres.administration import list_tenants
from rightfit_server.settings import read_settings
from rightfit_sync.errors import LocalError


@click.command()
@click.option("--tenant", "tenant_id", default=None, help="Only this tenant; by default all of them.")
@data_dir_option
@owner_url_option
@json_option
@click.pass_context
@explained
def audit(
    context: click.Context,
    *,
    tenant_id: str | None,
    data_dir: Path,
    database_owner_url: str | None,
    as_json: bool,
) -> None:
    """Account for every change in the database.

    Each change must be visible, superseded, in conflict, rejected or void; each record must be what its
    history comes to. Exit code 1 if anything is missing, with a table of it. The server may run meanwhile.
    """
    schema = load_application(read_settings().application).schema
    with open_database(data_dir, database_owner_url) as database:
        with psycopg.connect(database.owner_url) as connection:
            known = [row.tenant_id for row in list_tenants(connection)]
        if tenant_id is not None and tenant_id not in known:
            raise LocalError("unknown_tenant", f"there is no tenant {tenant_id!r}", "tenant")
        reports = [audited(database.owner_url, one, schema) for one in known if tenant_id in (None, one)]
    if as_json:
        put_json(reports)
    else:
        _show(reports)
    if not all(report.is_good for report in reports):
        context.exit(WRONG_DATA)


def _show(reports: list[Report]) -> None:
    screen = console()
    for report in reports:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(report.states.items()))
        sentence = (
            f"{report.tenant_id}: {report.changes} changes: {counts or 'none'}; {report.entities} records"
        )
        screen.print(sentence, style="green" if report.is_good else "red", soft_wrap=True)
    table = Table("tenant", "check", "where", "what is wrong")
    for report in reports:
        for finding in report.findings:
            table.add_row(report.tenant_id, finding.check, finding.place, finding.message)
    if table.row_count:
        screen.print(table)
