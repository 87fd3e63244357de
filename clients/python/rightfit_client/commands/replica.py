"""The group `rightfit replica`: a device's copy, from the shell."""

import rich_click as click

from rightfit_client.commands.account import init, login, wipe
from rightfit_client.commands.disputes import conflicts, rejected, resolve
from rightfit_client.commands.entities import delete, get, history, insert, query, restore, set_values
from rightfit_client.commands.files import doctor, export, import_records, salvage
from rightfit_client.commands.syncing import status, sync


@click.group()
def replica() -> None:
    """Work with a replica: one SQLite file that holds a device's copy and its unsent edits.

    Everything but `init`, `login` and `sync` works offline. Reading works while another process has the file
    open.
    """


for one in (
    *(init, login, status, sync, get, query, insert, set_values, delete, restore, history),
    *(conflicts, resolve, rejected, export, import_records, doctor, salvage, wipe),
):
    replica.add_command(one)
