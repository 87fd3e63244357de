"""`python -m rightfit_server up`: the server's commands alone, where the client is not installed."""

import rich_click as click

from rightfit_server.entrypoints.cli import COMMANDS


@click.group()
def main() -> None:
    """RightFit's server."""


for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="rightfit")
