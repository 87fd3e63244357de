"""`rightfit up`: everything in one command."""

from pathlib import Path
from typing import Any

import rich_click as click

from rightfit_server.commands.options import chosen, data_dir_option, json_option, settings_options
from rightfit_server.commands.outcome import console, explained, put_json
from rightfit_server.data_directory import open_data_directory
from rightfit_server.running import Place, run
from rightfit_server.settings import read_settings
from rightfit_server.telemetry import configure_logging


@click.command()
@data_dir_option
@json_option
@settings_options
@explained
def up(*, data_dir: Path, as_json: bool, **flags: Any) -> None:  # noqa: ANN401 - one flag per setting.
    """Run the databases, migrations and the API until Ctrl-C.

    PostgreSQL and Valkey come from their wheels, unless their URLs are given. Data and signing keys stay in
    the data directory. With --json, one line says where everything answers as soon as it does.
    """
    settings = read_settings(chosen=chosen(flags))
    configure_logging(settings.log_level)

    def ready(place: Place) -> None:
        if as_json:
            put_json({"event": "ready", "url": place.url, "database_owner_url": place.database_owner_url})
        else:
            console().print(f"[bold green]RightFit is up[/bold green] at {place.url} (Ctrl-C ends it)")

    run(settings, open_data_directory(data_dir), ready)
