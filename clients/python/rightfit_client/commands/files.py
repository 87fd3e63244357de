"""`export`, `import`, `doctor`, `salvage`: the replica's file and other files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec
import rich_click as click
from rich.console import Console
from rich.markup import escape

from rightfit_client.commands.account import read_schema
from rightfit_client.commands.naming import complete_kind
from rightfit_client.commands.options import NEEDS_ATTENTION, answer, command, kept_token, reading, writing
from rightfit_client.doctor import Finding
from rightfit_client.portable import export_csv, export_json, import_csv, import_json
from rightfit_client.replica import Replica
from rightfit_client.salvage import Salvaged
from rightfit_client.verify import Difference


@click.command()
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.option("--format", "form", type=click.Choice(["json", "csv"]), default="json", show_default=True)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; without it, the screen.",
)
@command
def export(path: Path, as_json: bool, kind: str | None, form: str, output: Path | None) -> None:
    """Write all records, or those of one kind, to a file."""
    if form == "csv" and kind is None:
        raise click.UsageError("a CSV file holds one kind: name it, or use --format json")
    with reading(path) as replica, _stream(output) as stream:
        count = (
            export_json(replica, stream, kind) if form == "json" else export_csv(replica, stream, kind or "")
        )
    if output is not None:
        words = f"{count} records are in {output}"
        answer({"exported": count, "file": str(output)}, as_json, lambda console: console.print(words))


@contextmanager
def _stream(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8", newline="") as stream:
        yield stream


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--kind", shell_complete=complete_kind, help="The kind of the rows; a whole export names its own."
)
@command
def import_records(path: Path, as_json: bool, source: Path, kind: str | None) -> None:
    """Take in a JSON or CSV file: all of it or nothing."""
    is_table = source.suffix.lower() == ".csv"
    if is_table and kind is None:
        raise click.UsageError("say of which kind the rows are: --kind")
    with writing(path) as replica, source.open(encoding="utf-8", newline="") as stream:
        done = import_csv(replica, stream, kind or "") if is_table else import_json(replica, stream, kind)
    words = f"{done.inserted} made, {done.updated} changed, {done.unchanged} as they were: wait to be synced"
    answer(done, as_json, lambda console: console.print(words))


@click.command()
@click.option("--verify", is_flag=True, help="Sync, and compare every record with the authority's.")
@click.option(
    "--repair",
    is_flag=True,
    help="Make anew what follows from the rest; with --verify, take from the authority what differs.",
)
@command
@click.pass_context
def doctor(context: click.Context, path: Path, as_json: bool, verify: bool, repair: bool) -> None:
    """Look at the health of the replica's file.

    With --verify --repair, a record that only this file has is given to the authority; one that it does not take
    back, because the file was damaged there, is forgotten.
    """
    with writing(path) if verify or repair else reading(path) as replica:
        if repair:
            replica.repair()
        differing = replica.verify(repair=repair) if verify else None
        found = replica.examine()
    if differing is not None:
        found.append(_compared(differing, repair=repair))
    report = found if differing is None else {"findings": found, "differing": differing}
    answer(report, as_json, lambda console: _draw_findings(console, found, differing or []))
    if not all(finding.holds for finding in found):
        context.exit(NEEDS_ATTENTION)


def _compared(differing: list[Difference], *, repair: bool) -> Finding:
    check = "records are as the authority has them"
    if repair or not differing:
        return Finding(check, holds=True, detail=f"{len(differing)} were mended" if differing else "")
    return Finding(check, False, f"{len(differing)} differ", "doctor --verify --repair mends them")


def _draw_findings(console: Console, found: list[Finding], differing: list[Difference]) -> None:
    for finding in found:
        mark = "[green]ok[/green]   " if finding.holds else "[red]wrong[/red]"
        console.print(f"{mark} {finding.check}" + (f" ({escape(finding.detail)})" if finding.detail else ""))
        if finding.remedy:
            console.print(f"      {finding.remedy}")
    for one in differing:
        console.print(f"      {escape(one.kind)} {escape(one.entity_id)} {escape(one.what)}", soft_wrap=True)


@click.command()
@click.option(
    "--schema",
    "schema_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The schema as JSON, where the file cannot even say that.",
)
@command
def salvage(path: Path, as_json: bool, schema_file: Path | None) -> None:
    """Set a damaged file aside, and make a new one of all that can be read of it.

    Nothing in the damaged file is changed. The next sync fetches the records that are missing.
    """
    schema = None if schema_file is None else read_schema(schema_file)
    saved = Replica.salvage(path, schema=schema, token=kept_token(path))
    document = {**msgspec.structs.asdict(saved), "set_aside": str(saved.set_aside)}
    answer(document, as_json, lambda console: _draw_salvaged(console, saved))


def _draw_salvaged(console: Console, saved: Salvaged) -> None:
    console.print(
        f"{saved.edits} edits, {saved.rejected} rejected changes and {saved.records} records were saved"
    )
    console.print(f"the damaged file is {saved.set_aside}", soft_wrap=True)
    for one in saved.unreadable:
        console.print(f"      not read: {escape(one)}", soft_wrap=True)
    console.print("run `rightfit replica sync`: it fetches what is missing")
