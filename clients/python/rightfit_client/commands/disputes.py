"""`conflicts`, `resolve`, `rejected`: what people must decide."""

from pathlib import Path

import rich_click as click
from rich.console import Console

from rightfit_client.commands.naming import (
    assignments,
    complete_conflict,
    complete_kind,
    complete_rejected,
    dot,
    open_conflict,
)
from rightfit_client.commands.options import answer, command, draw_block, reading, said, writing
from rightfit_client.portable import parsed
from rightfit_client.replica import Replica
from rightfit_sync.apply import final_value
from rightfit_sync.conflicts import Conflict
from rightfit_sync.records import Change
from rightfit_sync.store import Rejected

_ID_SHOWN = 8


@click.command()
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("entity_id", metavar="[ID]", required=False)
@command
def conflicts(path: Path, as_json: bool, kind: str | None, entity_id: str | None) -> None:
    """List the open conflicts, each with the values to choose from."""
    with reading(path) as replica:
        found = replica.conflicts(kind, entity_id)
    answer(found, as_json, lambda console: _draw_conflicts(console, found))


def _draw_conflicts(console: Console, found: list[Conflict]) -> None:
    for one in found:
        where = f"{one.kind} {one.entity_id} {one.path} ({one.reason})"
        draw_block(console, one.conflict_id[:_ID_SHOWN], where, _choices(one))
    if not found:
        console.print("nobody disagrees")


def _choices(conflict: Conflict) -> list[str]:
    if conflict.reason == "delete_edit":
        return ["keep", "delete"]
    numbered = [f"{number}: {said(sibling.value)}" for number, sibling in enumerate(conflict.siblings, 1)]
    return numbered if conflict.suggestion is None else [*numbered, f"suggested: {conflict.suggestion}"]


@click.command()
@click.argument("conflict_id", metavar="CONFLICT", shell_complete=complete_conflict)
@click.argument("values", nargs=-1, metavar="[VALUE | FIELD=VALUE...]")
@click.option("--take", type=click.IntRange(1), help="Choose the value with this number.")
@click.option("--suggestion", is_flag=True, help="Choose the merged text that is offered.")
@command
def resolve(
    path: Path,
    as_json: bool,
    conflict_id: str,
    values: tuple[str, ...],
    take: int | None,
    suggestion: bool,
) -> None:
    """Settle a conflict: by a value, `--take`, `keep` or `delete`, or field=value for a broken rule."""
    if (take is not None) + suggestion + bool(values) != 1:
        raise click.UsageError("say how: a value, --take NUMBER, or --suggestion")
    with writing(path) as replica:
        conflict = open_conflict(replica, conflict_id)
        change = replica.resolve(conflict, _choice(replica, conflict, values, take))
        left = len(replica.conflicts())
    words = f"settled by {change.dot if change else 'nothing'}; {left} more"
    answer({"change": change, "left": left}, as_json, lambda console: console.print(words))


def _choice(replica: Replica, conflict: Conflict, values: tuple[str, ...], take: int | None) -> object:
    if take is not None:
        if take > len(conflict.siblings):
            raise click.UsageError(
                f"there are {len(conflict.siblings)} values: --take 1 to {len(conflict.siblings)}"
            )
        return conflict.siblings[take - 1].value
    if not values:
        if conflict.suggestion is None:
            raise click.UsageError("nothing is suggested for this conflict: give a value")
        return conflict.suggestion
    if conflict.reason == "invariant":
        return assignments(replica, conflict.kind, values)
    if len(values) > 1:
        raise click.UsageError("one value, please: put it in quotes")
    if conflict.reason == "delete_edit":
        return values[0]
    return parsed(replica.schema.kinds[conflict.kind], conflict.path, values[0])


@click.group(invoke_without_command=True)
@command
@click.pass_context
def rejected(context: click.Context, path: Path, as_json: bool) -> None:
    """List the changes that were not accepted; `retry`, `edit` or `discard` them."""
    if context.invoked_subcommand is not None:
        return
    with reading(path) as replica:
        found = replica.rejected()
    answer(found, as_json, lambda console: _draw_rejected(console, found))


def _draw_rejected(console: Console, found: list[Rejected]) -> None:
    for one in found:
        change = one.change
        values = [f"{path} = {said(final_value(patch))}" for path, patch in change.patches.items()]
        why = one.outcome.message or one.outcome.code
        draw_block(console, str(change.dot), f"{change.op} {change.kind} {change.entity_id}: {why}", values)
    if not found:
        console.print("nothing was rejected")


_dot = click.argument("change", shell_complete=complete_rejected)


@rejected.command()
@_dot
@command
def retry(path: Path, as_json: bool, change: str) -> None:
    """Make a rejected change anew, with its transaction."""
    with writing(path) as replica:
        made = replica.retry(dot(change))
    _draw_made(made, as_json=as_json)


@rejected.command()
@_dot
@click.argument("values", nargs=-1, required=True, metavar="FIELD=VALUE...")
@command
def edit(path: Path, as_json: bool, change: str, values: tuple[str, ...]) -> None:
    """Make a rejected change anew with other values."""
    named = dot(change)
    with writing(path) as replica:
        kind = next((one.change.kind for one in replica.rejected() if one.change.dot == named), None)
        wanted = {} if kind is None else assignments(replica, kind, values)
        made = replica.edit_again(named, wanted)
    _draw_made([] if made is None else [made], as_json=as_json)


@rejected.command()
@_dot
@command
def discard(path: Path, as_json: bool, change: str) -> None:
    """Take a rejected change off the list for good."""
    with writing(path) as replica:
        replica.discard(dot(change))
    answer({"discarded": change}, as_json, lambda console: console.print(f"{change} is forgotten"))


def _draw_made(made: list[Change], *, as_json: bool) -> None:
    words = ", ".join(str(one.dot) for one in made)
    text = f"made anew as {words}: waits to be synced" if made else "nothing is left to change"
    answer({"changes": made}, as_json, lambda console: console.print(text))
