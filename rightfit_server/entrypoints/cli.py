"""The server's commands, for `rightfit` to offer where the server is installed."""

import rich_click as click

from rightfit_server.commands.audit import audit
from rightfit_server.commands.backup import backup, restore
from rightfit_server.commands.demo import demo
from rightfit_server.commands.device import device
from rightfit_server.commands.import_records import import_records
from rightfit_server.commands.tenant import tenant
from rightfit_server.commands.up import up

COMMANDS: list[click.Command] = [up, demo, tenant, device, import_records, audit, backup, restore]
