"""How commands speak: text for people on a terminal, JSON for programs, and exit codes that mean something.

| code | means |
|---|---|
| 0 | done |
| 1 | done, and something is wrong with the data: a lost change, a rejected row |
| 2 | the command line is wrong |
| 3 | it cannot be done here: a setting, a directory, a database; the message says what to do |
"""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec
import psycopg
import rich_click as click
from rich.console import Console

from rightfit_sync.errors import RightFitError

WRONG_DATA = 1
CANNOT = 3

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Refusal(click.ClickException):
    """A message for the user and exit code 3."""

    exit_code = CANNOT


def explained(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what RightFit and PostgreSQL raise into a message and an exit code; a bug stays a traceback."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return command(*args, **kwargs)
        except RightFitError as error:
            raise Refusal(str(error)) from error
        except psycopg.OperationalError as error:
            raise Refusal(f"PostgreSQL cannot be reached: {error}") from error

    return run


def console() -> Console:
    """Return where people read."""
    return Console(highlight=False)


def put_json(value: object) -> None:
    """Write one line of JSON to standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()
