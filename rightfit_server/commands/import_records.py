"""`rightfit import`: a folder of CSV files into a tenant, through the same API and rules as every device."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import rich_click as click
from rich.table import Table

from rightfit_server.bootstrap import load_application
from rightfit_server.commands.options import data_dir_option, json_option, owner_url_option
from rightfit_server.commands.outcome import WRONG_DATA, console, explained, put_json
from rightfit_server.domain.hpd.folder import read_folder
from rightfit_server.domain.hpd.plan import Plan
from rightfit_server.domain.hpd.record import Record
from rightfit_server.operations.database import open_database, server_url
from rightfit_server.operations.devices import role_tags, visiting_device
from rightfit_server.ports.replica import ReplicaPort, open_replica
from rightfit_server.settings import read_settings
from rightfit_sync.errors import LocalError


class Refused(msgspec.Struct, frozen=True):
    """A record that could not be made: the line that it comes from, and why."""

    source: str
    kind: str
    message: str


class Imported(msgspec.Struct, frozen=True):
    """What an import came to: `made` and `present` count records, `repeated` are lines, `unknown` files."""

    rows: Mapping[str, int]
    made: Mapping[str, int]
    present: Mapping[str, int]
    placeholders: int
    repeated: Sequence[str]
    unknown: Sequence[str]
    rejected: Sequence[Refused]


@click.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tenant", "tenant_id", required=True, help="Whose records these become.")
@click.option(
    "--subject", "subject_id", default="import", show_default=True, help="In whose name they are made."
)
@click.option(
    "--url", default=None, help="Where the API answers; by default the `rightfit up` of --data-dir."
)
@data_dir_option
@owner_url_option
@json_option
@click.pass_context
@explained
def import_records(
    context: click.Context,
    *,
    folder: Path,
    tenant_id: str,
    subject_id: str,
    url: str | None,
    data_dir: Path,
    database_owner_url: str | None,
    as_json: bool,
) -> None:
    """Import the CSV files of a folder (records of New York's housing department).

    Goes through a replica and the sync API, so that every check holds; an import that is made again changes
    nothing. Its device is signed out in the end. Exit code 1 if a record was rejected.
    """
    plan, unknown = read_folder(folder)
    api = server_url(data_dir, url)
    schema = load_application(read_settings().application).schema
    tags = role_tags("landlord", "", subject_id)
    with (
        open_database(data_dir, database_owner_url) as database,
        visiting_device(database, tenant_id, subject_id, tags, "import") as token,
        tempfile.TemporaryDirectory(prefix="rightfit-import-") as place,
    ):
        path = Path(place) / "replica.db"
        with open_replica(path, schema=schema, url=api, token=token.token) as replica:
            imported = _run(replica, plan, unknown)
    if as_json:
        put_json(imported)
    else:
        _show(imported)
    if imported.rejected:
        context.exit(WRONG_DATA)


def _run(replica: ReplicaPort, plan: Plan, unknown: Sequence[str]) -> Imported:
    replica.sync()
    made: dict[str, int] = {}
    present: dict[str, int] = {}
    refused: list[Refused] = []
    with replica.batch():
        for record in plan.records:
            if replica.get(record.kind, record.entity_id) is not None:
                present[record.kind] = present.get(record.kind, 0) + 1
            elif _make(replica, record, refused):
                made[record.kind] = made.get(record.kind, 0) + 1
    replica.sync()
    sources = {record.entity_id: record.source for record in plan.records}
    for answer in replica.rejected():
        change = answer.change
        refused.append(Refused(sources.get(change.entity_id, ""), change.kind, answer.outcome.message))
        made[change.kind] -= 1
    return Imported(plan.rows, made, present, plan.placeholders, plan.repeated, unknown, refused)


def _make(replica: ReplicaPort, record: Record, refused: list[Refused]) -> bool:
    try:
        replica.insert(record.kind, record.values, entity_id=record.entity_id)
    except LocalError as error:
        refused.append(Refused(record.source, record.kind, str(error)))
        return False
    return True


def _show(imported: Imported) -> None:
    screen = console()
    rows = Table("file", "rows")
    for table, count in imported.rows.items():
        rows.add_row(table, str(count))
    records = Table("record", "made", "there already")
    for kind in sorted({*imported.made, *imported.present}):
        records.add_row(kind, str(imported.made.get(kind, 0)), str(imported.present.get(kind, 0)))
    screen.print(rows, records)
    screen.print(
        f"{imported.placeholders} properties are placeholders: other lines name them, none describes them."
    )
    if imported.repeated:
        screen.print(
            f"{len(imported.repeated)} lines name a record once more: {', '.join(imported.repeated[:5])}"
        )
    if imported.unknown:
        screen.print(f"[yellow]Not used:[/yellow] {', '.join(imported.unknown)}")
    for one in imported.rejected:
        screen.print(f"[red]rejected:[/red] {one.source} ({one.kind}): {one.message}")
    screen.print(f"{len(imported.rejected)} records were rejected.")
