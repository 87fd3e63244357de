"""Every route there is."""

from rightfit_server.http.conflicts import open_conflicts, resolve_conflict
from rightfit_server.http.devices import refresh_token
from rightfit_server.http.entities import history, record
from rightfit_server.http.health import live, ready
from rightfit_server.http.openapi import openapi
from rightfit_server.http.reconcile import reconcile
from rightfit_server.http.schema import schema
from rightfit_server.http.sync import pull, push, sync

HANDLED = (
    sync,
    push,
    pull,
    reconcile,
    schema,
    open_conflicts,
    resolve_conflict,
    record,
    history,
    refresh_token,
    live,
    ready,
    openapi,
)
