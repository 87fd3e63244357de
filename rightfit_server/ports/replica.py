"""The replica port: what the server's own tools (import, demo) ask of a replica.

They write as every device does, through the client's SDK and the sync API, so that every rule holds for
them too. The server must not know the client (an import contract says so), so the SDK is loaded by name,
where it is installed.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, Self

from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import LocalError
from rightfit_sync.records import Change
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Rejected

SDK = "rightfit_client.replica"


class ReplicaPort(Protocol):
    """The part of `rightfit_client.replica.Replica` that is used here; see there for the contract."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Close the file."""

    def get(self, kind: str, entity_id: str) -> dict[str, object] | None:
        """Return one entity, or None."""

    def select(self, sql: str, params: tuple[object, ...] = ()) -> list[dict[str, object]]:
        """Return what any reading SQL gives, columns as SQLite has them."""

    def insert(self, kind: str, values: Mapping[str, object], /, *, entity_id: str | None = None) -> str:
        """Create an entity and return its id."""

    def update(self, kind: str, entity_id: str, values: Mapping[str, object], /) -> Change | None:
        """Make an entity hold these values."""

    def delete(self, kind: str, entity_id: str) -> Change | None:
        """Delete an entity."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make the changes of a block one whole."""

    def batch(self) -> AbstractContextManager[None]:
        """Commit the changes of a block at once, each accepted or rejected on its own."""

    def conflicts(self) -> list[Conflict]:
        """Return the open conflicts."""

    def resolve(self, conflict: Conflict, choice: object) -> Change | None:
        """Settle a conflict."""

    def rejected(self) -> list[Rejected]:
        """Return the changes that were not accepted."""

    def sync(self) -> object:
        """Push and pull once."""


def open_replica(path: Path, *, schema: Schema, url: str, token: str) -> ReplicaPort:
    """Open the replica at `path`, or make it; it is not expected to outlive the command, and keeps no marker.

    Raises `LocalError("no_sdk")` where the client is not installed, and the SDK's own errors.
    """
    if find_spec(SDK.partition(".")[0]) is None:
        raise LocalError("no_sdk", "the client SDK is not installed: pip install 'rightfit-sync[client]'")
    opener: Callable[..., ReplicaPort] = import_module(SDK).Replica.open
    return opener(path, schema=schema, url=url, token=token, marker=None)
