"""Options that several commands share, those of the settings made from their one table."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from rightfit_server.data_directory import default_path
from rightfit_server.settings import SettingRow, settings_table

_Command = TypeVar("_Command", bound=Callable[..., object])


def data_dir_option(command: _Command) -> _Command:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="RIGHTFIT_DATA_DIR",
        default=default_path,
        help="Where everything is kept; by default /var/lib/rightfit for root, else ~/.local/share/rightfit."
        " [RIGHTFIT_DATA_DIR]",
    )(command)


def json_option(command: _Command) -> _Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")(command)


def owner_url_option(command: _Command) -> _Command:
    """Add `--database-owner-url`."""
    return setting_option("database_owner_url")(command)


def setting_option(name: str) -> Callable[[_Command], _Command]:
    """Add the flag of one setting; it is None where it is not given."""
    (row,) = [row for row in settings_table() if row.name == name]
    return _setting_option(row)


def settings_options(command: _Command) -> _Command:
    """Add a flag for every setting; each is None where it is not given."""
    for row in reversed(settings_table()):
        command = _setting_option(row)(command)
    return command


def chosen(values: Mapping[str, Any]) -> dict[str, object]:
    """Return those settings that were given as flags."""
    return {row.name: values[row.name] for row in settings_table() if values.get(row.name) is not None}


def _setting_option(row: SettingRow) -> Callable[[_Command], _Command]:
    shown = "" if row.is_secret or row.default in ("", None) else f"; {row.default}"
    return click.option(
        row.flag, row.name, default=None, help=f"{row.documentation} [{row.environment_name}{shown}]"
    )
