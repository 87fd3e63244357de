"""How things are named on the command line: dots, assignments, conflict ids, and what a shell completes."""

from collections.abc import Callable, Iterable
from pathlib import Path

import rich_click as click
from click.shell_completion import CompletionItem

from rightfit_client.errors import LocalError, RightFitError
from rightfit_client.portable import parsed
from rightfit_client.replica import Replica
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.schema.spec import KindSpec
from rightfit_sync.values import Value

_COMPLETED_MAX = 50


def declared(replica: Replica, kind: str) -> KindSpec:
    """Return a kind's declaration; raise `LocalError("unknown_kind")`."""
    found = replica.schema.kinds.get(kind)
    if found is None:
        known = ", ".join(sorted(replica.schema.kinds))
        raise LocalError("unknown_kind", f"the schema has no kind {kind!r}: it has {known}", "kind")
    return found


def assignments(replica: Replica, kind: str, given: Iterable[str]) -> dict[str, Value]:
    """Return `{field or path: value}` of `field=value` words; an empty value takes the field's value away."""
    spec = declared(replica, kind)
    wanted: dict[str, Value] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{word!r} is no assignment: write field=value")
        wanted[name] = parsed(spec, name, text)
    return wanted


def dot(text: str) -> Dot:
    """Return the dot written as `device:counter`."""
    device_id, _, counter = text.rpartition(":")
    if not device_id or not counter.isdigit():
        raise click.UsageError(f"{text!r} names no change: write device:counter, as `rejected` shows it")
    return Dot(device_id, int(counter))


def open_conflict(replica: Replica, start: str) -> Conflict:
    """Return the open conflict whose id begins with `start`."""
    found = [one for one in replica.conflicts() if one.conflict_id.startswith(start)]
    if len(found) != 1:
        what = "no open conflict begins" if not found else f"{len(found)} open conflicts begin"
        raise LocalError(
            "unknown_conflict", f"{what} with {start!r}: list them with `conflicts`", "conflict_id"
        )
    return found[0]


def complete_kind(context: click.Context, _parameter: click.Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a kind from the replica's schema."""
    return [
        CompletionItem(name) for name in _ask(context, lambda replica: sorted(replica.schema.kinds), start)
    ]


def complete_conflict(
    context: click.Context, _parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Complete the id of an open conflict."""
    found = _ask(context, lambda replica: [one.conflict_id for one in replica.conflicts()], start)
    return [CompletionItem(one) for one in found]


def complete_rejected(
    context: click.Context, _parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Complete the dot of a rejected change."""
    found = _ask(context, lambda replica: [str(one.change.dot) for one in replica.rejected()], start)
    return [CompletionItem(one) for one in found]


def _ask(context: click.Context, ask: Callable[[Replica], list[str]], start: str) -> list[str]:
    """Return what begins with `start`; nothing where the replica cannot be read: a shell only wants help."""
    path = context.params.get("path") or "replica.db"
    try:
        with Replica.open(Path(str(path)), read_only=True) as replica:
            return [one for one in ask(replica) if one.startswith(start)][:_COMPLETED_MAX]
    except RightFitError:
        return []
