"""`status` and `sync`: where the replica stands, and bringing it up to date."""

import time
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from rightfit_client.claims import read_claims
from rightfit_client.commands.ending import listening
from rightfit_client.commands.options import (
    NEEDS_ATTENTION,
    answer,
    command,
    keep_token,
    kept_token,
    reading,
    writing,
)
from rightfit_client.replica import Replica
from rightfit_client.status import Status
from rightfit_sync.exchange import Progress, Synced

_REFRESH_BEFORE_SECONDS = 7 * 86_400
_REMEDIES = {
    "rejected": "look at `rightfit replica rejected`",
    "conflict": "look at `rightfit replica conflicts`",
    "pending": "run `rightfit replica sync`",
    "needs_repair": "run `rightfit replica doctor --verify --repair`",
}


@click.command()
@command
def status(path: Path, as_json: bool) -> None:
    """Show where the replica stands; works while another process has it open."""
    with reading(path) as replica:
        found = replica.status()
    answer(found, as_json, lambda console: draw_status(console, found))


def draw_status(console: Console, found: Status) -> None:
    """Draw a status for people."""
    remedy = _REMEDIES.get(found.state, "")
    console.print(f"[bold]{found.state}[/bold]" + (f": {remedy}" if remedy else ""))
    synced = "never" if found.last_synced_at is None else _ago(found.last_synced_at)
    for name, value in {
        "pending": found.pending,
        "conflicts": found.conflicts,
        "rejected": found.rejected,
        "last news": synced,
        "subject": found.subject or "nobody yet",
        "device": found.device_id,
        "schema": found.schema_version,
    }.items():
        console.print(f"  {name:10} {value}")


def _ago(milliseconds: int) -> str:
    seconds = max(0, int(time.time() - milliseconds / 1000))
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word} ago"
    return f"{seconds} seconds ago"


@click.command()
@click.option("--watch", is_flag=True, help="Stay, and keep syncing until Ctrl-C or SIGTERM.")
@command
@click.pass_context
def sync(context: click.Context, path: Path, as_json: bool, watch: bool) -> None:
    """Send what is pending and fetch what is new.

    Ended by Ctrl-C or SIGTERM, a watch finishes (or drops after some seconds) what is under way, and exits with 0. A
    second one ends it at once; nothing is lost by that.

    Exit code 7 while a repair is owed, though all else has been synced.
    """
    if watch:
        _watch(path, as_json=as_json)
        return
    with writing(path) as replica:
        synced = _with_bar(replica) if not as_json else replica.sync()
        _renew(replica, path)
        found = replica.status()
    answer({"synced": synced, "status": found}, as_json, lambda console: _draw_synced(console, synced, found))
    if found.state == "needs_repair":
        context.exit(NEEDS_ATTENTION)


def _draw_synced(console: Console, synced: Synced, found: Status) -> None:
    refused = f", {synced.rejected} rejected" if synced.rejected else ""
    console.print(f"{synced.pushed} changes sent, {synced.pulled} records fetched{refused}")
    draw_status(console, found)


def _with_bar(replica: Replica) -> Synced:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, transient=True, console=Console(stderr=True)) as bar:
        sent, fetched = bar.add_task("sent", total=None), bar.add_task("fetched", total=None)

        def show(done: Progress) -> None:
            bar.update(sent, completed=done.pushed, total=done.pushed + done.pending)
            bar.update(fetched, completed=done.pulled, total=done.pulled + done.remaining)

        return replica.sync(show)


def _renew(replica: Replica, path: Path) -> None:
    """Fetch a fresh token in good time, so that nobody has to log in again who comes by now and then."""
    token = kept_token(path)
    if token is not None and 0 < read_claims(token).exp < time.time() + _REFRESH_BEFORE_SECONDS:
        keep_token(path, replica.refresh_token())


def _watch(path: Path, *, as_json: bool) -> None:
    console, last = Console(), [""]

    def show(found: Status) -> None:
        line = (
            f"{found.state}: {found.pending} pending, {found.conflicts} conflicts, {found.rejected} rejected"
        )
        if as_json:
            click.echo(msgspec.json.encode(found).decode())
        elif line != last[0]:
            console.print(f"{line} {escape(found.message)}".rstrip())
        last[0] = line

    with listening() as ending, writing(path) as replica:

        def show_or_end(found: Status) -> None:
            try:
                show(found)
            except OSError as error:
                ending.fail(error)

        replica.on_status(show_or_end)
        replica.start()
        ending.wait()
