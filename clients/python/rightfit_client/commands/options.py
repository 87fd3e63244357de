"""What all commands of a replica share: which file, how to answer, what failure looks like.

With `--json` an answer is one JSON document on standard output, and a failure one on standard error. Exit
codes:

| code | meaning |
|---|---|
| 0 | done; a watch (`sync --watch`) was ended by Ctrl-C or SIGTERM |
| 1 | refused, or something went wrong (the message says what to do) |
| 2 | the command line itself is wrong |
| 3 | the authority was not reached; edits are kept |
| 4 | log in again; edits are kept |
| 5 | upgrade this program; edits are kept |
| 6 | another process has the file open |
| 7 | `doctor` found something, or somebody must look at the replica (`needs_repair`) |
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import msgspec
import rich_click as click
from click.exceptions import Exit
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rightfit_client.errors import (
    NeedsLogin,
    NeedsRepair,
    NeedsUpgrade,
    Offline,
    ReplicaInUse,
    RightFitError,
)
from rightfit_client.limits import CELL_LENGTH_SHOWN
from rightfit_client.opening import TOKEN_SUFFIX
from rightfit_client.replica import Replica
from rightfit_sync.values import Value

_P = ParamSpec("_P")
_R = TypeVar("_R")

NEEDS_ATTENTION: Final = 7
EXIT_CODES: tuple[tuple[type[RightFitError], int], ...] = (
    (Offline, 3),
    (NeedsLogin, 4),
    (NeedsUpgrade, 5),
    (ReplicaInUse, 6),
    (NeedsRepair, NEEDS_ATTENTION),
)


def report(error: RightFitError, *, as_json: bool) -> int:
    """Write what went wrong, and what to do, to standard error; return the exit code."""
    remedy = str(getattr(error, "remedy", ""))
    if as_json:
        code = getattr(error, "code", type(error).__name__.lower())
        path = getattr(error, "path", "")
        problem = {"code": code, "message": str(error), "path": path, "remedy": remedy}
        click.echo(msgspec.json.encode({"error": problem}).decode(), err=True)
    else:
        console = Console(stderr=True)
        console.print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        if remedy:
            console.print(f"What to do: {escape(remedy)}", highlight=False, soft_wrap=True)
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def command(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Give a command its `--file` and `--json`, and its errors their form."""

    @functools.wraps(function)
    def reporting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except RightFitError as error:
            raise Exit(report(error, as_json=bool(kwargs.get("as_json")))) from error

    file = click.option(
        "--file",
        "-f",
        "path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="RIGHTFIT_REPLICA",
        default="replica.db",
        show_default=True,
        show_envvar=True,
        help="The replica's file.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
    return file(as_json(reporting))


@contextmanager
def reading(path: Path, *, online: bool = False) -> Iterator[Replica]:
    """Open the replica beside whoever writes it; `online` lets it ask the authority for history."""
    with Replica.open(path, read_only=True, token=kept_token(path) if online else None) as replica:
        yield replica


@contextmanager
def writing(path: Path) -> Iterator[Replica]:
    """Open the replica to write and to sync."""
    if not path.exists():
        raise click.UsageError(f"there is no replica at {path}: make it with `rightfit replica init`")
    with Replica.open(path, token=kept_token(path)) as replica:
        yield replica


def kept_token(path: Path) -> str | None:
    """Return the token of this replica: from RIGHTFIT_TOKEN, or as kept by `login`."""
    kept = token_file(path)
    return os.environ.get("RIGHTFIT_TOKEN") or (kept.read_text().strip() if kept.exists() else None)


def keep_token(path: Path, token: str) -> None:
    """Keep the token beside the replica, readable by its owner alone."""
    descriptor = os.open(token_file(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(token)


def token_file(path: Path) -> Path:
    """Return where the token of this replica is kept."""
    real = path.expanduser().resolve()
    return real.with_name(real.name + TOKEN_SUFFIX)


def answer(document: object, as_json: bool, render: Callable[[Console], None]) -> None:
    """Write an answer: `document` as JSON, or what `render` draws."""
    if as_json:
        click.echo(msgspec.json.encode(document).decode())
    else:
        render(Console())


def draw_table(console: Console, headers: list[str], rows: list[list[object]], nothing: str) -> None:
    """Draw a table, or say that there is `nothing`."""
    if not rows:
        console.print(nothing)
        return
    table = Table()
    for number, header in enumerate(headers):
        # The first column names the thing: it must be there whole, to be copied.
        table.add_column(header, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(short(cell)) for cell in row))
    console.print(table)


def draw_block(console: Console, name: str, headline: str, lines: list[str]) -> None:
    """Draw one thing with its name first, whole, so that it can be copied, and its lines below."""
    console.print(f"[bold]{escape(name)}[/bold]  {escape(headline)}", highlight=False, soft_wrap=True)
    for line in lines:
        console.print(f"    {escape(line)}", highlight=False, soft_wrap=True)


def said(value: Value) -> str:
    """Return a value in words: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def short(cell: object) -> str:
    """Return a value in a cell's width."""
    text = "" if cell is None else str(cell)
    return text if len(text) <= CELL_LENGTH_SHOWN else f"{text[: CELL_LENGTH_SHOWN - 1]}…"
