"""Running `rightfit` as a user does: arguments in, output and exit code out; in this process, to be quick."""

import json
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from rightfit_server.__main__ import main


class Done(NamedTuple):
    """What a command came to."""

    code: int
    output: str
    errors: str

    def json(self) -> object:
        return json.loads(self.output)


def rightfit(*arguments: str | Path) -> Done:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)
