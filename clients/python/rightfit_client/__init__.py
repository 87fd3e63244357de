"""The replica: one SQLite file per device, a view to query, and an outbox that survives anything.

Start with `Replica.open`. Errors are in `rightfit_client.errors`, the command line in
`rightfit_client.command`.
"""

from rightfit_client.errors import (
    LocalError,
    NeedsLogin,
    NeedsRepair,
    NeedsUpgrade,
    Offline,
    OpenError,
    RemoteProblem,
    ReplicaInUse,
    StorageError,
)
from rightfit_client.history import History, HistoryEntry
from rightfit_client.live import Subscription
from rightfit_client.query import Query, Select
from rightfit_client.replica import Replica
from rightfit_client.salvage import Salvaged
from rightfit_client.status import Status
from rightfit_client.verify import Difference
from rightfit_sync.exchange import Progress, Synced

__all__ = [
    "Difference",
    "History",
    "HistoryEntry",
    "LocalError",
    "NeedsLogin",
    "NeedsRepair",
    "NeedsUpgrade",
    "Offline",
    "OpenError",
    "Progress",
    "Query",
    "RemoteProblem",
    "Replica",
    "ReplicaInUse",
    "Salvaged",
    "Select",
    "Status",
    "StorageError",
    "Subscription",
    "Synced",
]
