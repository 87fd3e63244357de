"""`rightfit demo`: an office and two contractors, offline and back, on the real stack."""

import time
from pathlib import Path

import rich_click as click
from rich.console import Console

from rightfit_server.commands.outcome import WRONG_DATA, console, explained, put_json
from rightfit_server.demo.performance import Verdict, perform, stage
from rightfit_server.demo.sample import read_sample
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.hpd.folder import read_folder

SHOWN_MAX = 10
"""Lost changes and differences that are listed one by one."""


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="A folder with records of New York's housing department; by default a sample of our own.",
)
@click.option("--json", "as_json", is_flag=True, help="Write only the verdict, as JSON for programs.")
@click.pass_context
@explained
def demo(context: click.Context, *, data: Path | None, as_json: bool) -> None:
    """Play the whole story and account for every change in it.

    Starts the stack in a temporary folder on free ports, with three replicas in SQLite files of their own.
    Exit code 1 if a change is lost or a replica differs from the server.
    """
    screen = Console(quiet=True) if as_json else console()
    started = time.monotonic()
    plan = read_sample() if data is None else read_folder(data)[0]
    screen.print("[dim]Starting PostgreSQL, Valkey and the API ...[/dim]")
    with stage() as folder, Stack(folder / "server") as stack:
        screen.print(f"[dim]The server is up at {stack.url}.[/dim]")
        verdict = perform(stack, folder, plan, lambda sentence: screen.print(f"• {sentence}"))
    seconds = time.monotonic() - started
    if as_json:
        put_json({"sentence": verdict.sentence(), "is_good": verdict.is_good, "seconds": round(seconds, 1)})
    else:
        _show(screen, verdict, seconds)
    if not verdict.is_good:
        context.exit(WRONG_DATA)


def _show(screen: Console, verdict: Verdict, seconds: float) -> None:
    for write in verdict.account.lost()[:SHOWN_MAX]:
        screen.print(
            f"[red]lost:[/red] {write.person} {write.op} {write.kind} {write.entity_id} {dict(write.wrote)}"
        )
    for title, found in verdict.differing.items():
        for sentence in found[:SHOWN_MAX]:
            screen.print(f"[red]{title}:[/red] {sentence}")
    screen.print(f"[dim]{seconds:.1f} s[/dim]")
    screen.print(f"[bold {'green' if verdict.is_good else 'red'}]{verdict.sentence()}[/]", soft_wrap=True)
