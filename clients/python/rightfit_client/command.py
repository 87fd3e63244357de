"""`rightfit`: one command for everything.

`rightfit replica` needs this package alone. Where the server is installed too, its commands are added by
name, and loaded only when one of them (or the list of all) is asked for: a replica's command need not wait
for a web framework.
"""

import importlib
import importlib.metadata
import importlib.util
import os

import rich_click as click
from click.shell_completion import get_completion_class

from rightfit_client.commands.replica import replica
from rightfit_client.commands.simulate import simulate

SERVER_COMMANDS = "rightfit_server.entrypoints.cli"
_NEEDED_BY_SERVER = "litestar"


class Commands(click.RichGroup):
    """The group whose further commands come from the server, if that is installed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *server_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command; the server's are loaded only where ours do not have it."""
        return super().get_command(ctx, cmd_name) or server_commands().get(cmd_name)


def server_commands() -> dict[str, click.Command]:
    """Return the server's commands by name; none where it is not installed."""
    if importlib.util.find_spec(_NEEDED_BY_SERVER) is None or _find(SERVER_COMMANDS) is None:
        return {}
    found: list[click.Command] = importlib.import_module(SERVER_COMMANDS).COMMANDS
    return {one.name: one for one in found if one.name is not None}


def _find(module: str) -> object:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rightfit-sync", prog_name="rightfit")
def main() -> None:
    """RightFit: a sync engine that cannot silently lose an edit."""


main.add_command(replica)
main.add_command(simulate)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
def completion(shell: str | None) -> None:
    """Print the script that completes commands in your shell: eval "$(rightfit completion bash)"."""
    name = shell or os.environ.get("SHELL", "bash").rpartition("/")[2]
    found = get_completion_class(name)
    if found is None:
        raise click.UsageError(f"there is no completion for {name}: name bash, zsh or fish")
    click.echo(found(main, {}, "rightfit", "_RIGHTFIT_COMPLETE").source())
