"""`get`, `query`, `insert`, `set`, `delete`, `restore`, `history`: single records."""

from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.markup import escape

from rightfit_client.commands.naming import assignments, complete_kind, declared
from rightfit_client.commands.options import (
    answer,
    command,
    draw_block,
    draw_table,
    reading,
    said,
    short,
    writing,
)
from rightfit_client.errors import LocalError
from rightfit_client.history import History
from rightfit_client.portable import plain
from rightfit_client.tables import KEY
from rightfit_sync.apply import final_value
from rightfit_sync.records import Change
from rightfit_sync.values import Value

_kind = click.argument("kind", shell_complete=complete_kind)
_id = click.argument("entity_id", metavar="ID")
_values = click.argument("values", nargs=-1, metavar="FIELD=VALUE...")


@click.command()
@_kind
@_id
@command
def get(path: Path, as_json: bool, kind: str, entity_id: str) -> None:
    """Show one record."""
    with reading(path) as replica:
        spec = declared(replica, kind)
        row = replica.get(kind, entity_id)
        if row is None:
            raise LocalError("unknown_entity", f"{kind} {entity_id} is not here, or deleted", "entity_id")
        found = plain(spec, row)
    answer(found, as_json, lambda console: _draw_record(console, found))


def _draw_record(console: Console, record: dict[str, Value]) -> None:
    width = max(map(len, record))
    for name, value in record.items():
        console.print(
            f"[bold]{name:{width}}[/bold]  {escape('' if value is None else said(value))}", highlight=False
        )


@click.command()
@_kind
@click.argument("fields", nargs=-1)
@click.option("--where", default="", help="SQL over the fields, such as \"status = 'OPEN'\".")
@click.option("--order-by", default="", help="SQL, such as 'due_on desc'.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@command
def query(
    path: Path,
    as_json: bool,
    kind: str,
    fields: tuple[str, ...],
    where: str,
    order_by: str,
    limit: int,
) -> None:
    """List records of one kind, with all fields or those named."""
    with reading(path) as replica:
        spec = declared(replica, kind)
        rows = [plain(spec, row) for row in replica.query(kind, where, order_by=order_by, limit=limit)]
    names = [KEY, *(fields or spec.fields)]
    chosen = [{name: row.get(name) for name in names} for row in rows]
    table = [list(row.values()) for row in chosen]
    answer(chosen, as_json, lambda console: draw_table(console, names, table, f"no {kind} is like that"))


@click.command()
@_kind
@_values
@click.option("--id", "entity_id", help="The id of the new record; one is made where it is not given.")
@command
def insert(path: Path, as_json: bool, kind: str, values: tuple[str, ...], entity_id: str | None) -> None:
    """Make a record and show its id."""
    with writing(path) as replica:
        made = replica.insert(kind, assignments(replica, kind, values), entity_id=entity_id)
    answer({KEY: made}, as_json, lambda console: console.print(made))


@click.command("set")
@_kind
@_id
@_values
@command
def set_values(path: Path, as_json: bool, kind: str, entity_id: str, values: tuple[str, ...]) -> None:
    """Change a record: `title=...`, `tags/leak=true`; nothing behind the = takes a value away."""
    if not values:
        raise click.UsageError("say what to change: field=value")
    with writing(path) as replica:
        change = replica.update(kind, entity_id, assignments(replica, kind, values))
    _draw_change(change, as_json=as_json)


@click.command()
@_kind
@_id
@command
def delete(path: Path, as_json: bool, kind: str, entity_id: str) -> None:
    """Delete a record; `restore` brings it back."""
    with writing(path) as replica:
        change = replica.delete(kind, entity_id)
    _draw_change(change, as_json=as_json)


@click.command()
@_kind
@_id
@command
def restore(path: Path, as_json: bool, kind: str, entity_id: str) -> None:
    """Bring a deleted record back."""
    with writing(path) as replica:
        change = replica.restore(kind, entity_id)
    _draw_change(change, as_json=as_json)


def _draw_change(change: Change | None, *, as_json: bool) -> None:
    words = "nothing to change" if change is None else f"{change.op} {change.dot}: waits to be synced"
    answer({"change": change}, as_json, lambda console: console.print(words))


@click.command()
@_kind
@_id
@command
def history(path: Path, as_json: bool, kind: str, entity_id: str) -> None:
    """Show what happened to a record: from the authority if it can be asked, and what is only here."""
    with reading(path, online=True) as replica:
        declared(replica, kind)
        found = replica.history(kind, entity_id)
    answer(found, as_json, lambda console: _draw_history(console, found))


def _draw_history(console: Console, found: History) -> None:
    for entry in found.entries:
        change = entry.change
        fate = "waits to be synced" if entry.outcome is None else f"{entry.outcome.status}, {entry.place}"
        values = [f"{path} = {short(said(final_value(patch)))}" for path, patch in change.patches.items()]
        draw_block(console, str(change.dot), f"{change.op}: {fate}", values)
    if not found.is_complete:
        console.print("The authority could not be asked: this is the local part alone.")
