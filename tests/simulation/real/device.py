"""A simulated phone on a real replica file: the SDK's own opening, store, session, doctor and schema upgrade.

Most phones keep a marker outside of what their backups cover; the others find out from the authority that an older copy
was put back. Device ids and clocks come from the world, so that one seed tells one story.
"""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from rightfit_client import opening
from rightfit_client.connection import connect
from rightfit_client.doctor import drop_damaged, examine
from rightfit_client.doctor import repair as rebuilt
from rightfit_client.errors import StorageError
from rightfit_client.facts import put_meta
from rightfit_client.opening import LAST_SYNCED, OpenFile, open_file
from rightfit_sync import changes
from rightfit_sync.causality.dot import Dot
from rightfit_sync.conflicts import Conflict
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call, Exchange
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.life import is_deleted
from rightfit_sync.outbox import Shown
from rightfit_sync.reconcile import Reconciliation
from rightfit_sync.records import Change, Entity, rejected
from rightfit_sync.replica import Author
from rightfit_sync.schema.spec import Schema
from rightfit_sync.store import Key, Rejected, ReplicaState
from rightfit_sync.testing.simulation.ports import (
    Clock,
    DiskFullError,
    Failure,
    FreshId,
    Held,
    Installation,
    Response,
    Session,
)
from rightfit_sync.values import Value
from tests.simulation.real.disk import NAME, Disk, FailingConnection, copied, laid_down, removed


class RealDevice:
    """See `ports.SimulatedDevice`. `home` is the phone's own folder, `disk` what it begins with."""

    def __init__(self, home: Path, installation: Installation, disk: Disk | None = None) -> None:
        self._home = home
        self._installation = installation
        self._schema = installation.schema
        self._clock = installation.clock
        self._markers = home / "markers" if installation.has_marker else None
        self._lives = count(1)
        self._start(disk or {})

    def _start(self, disk: Disk) -> None:
        """Lay these files down in a new folder, and open them."""
        self._folder = self._home / f"life-{next(self._lives)}"
        laid_down(disk, self._folder)
        self._open()

    def _open(self) -> None:
        def failing(path: Path, *, read_only: bool) -> FailingConnection:
            self._connection = FailingConnection(connect(path, read_only=read_only), path.parent)
            return self._connection

        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(opening, "connect", failing)
            patches.setattr(opening, "uuid4", self._installation.fresh_id)
            self._opened: OpenFile = open_file(
                self._folder / NAME,
                self._schema,
                lambda: ReplicaState(self._installation.token, self._installation.subject),
                upgrade=None,
                markers=self._markers,
            )
        # In place of random ones, ids that the world can foresee.
        cast("Any", self._opened.core)._fresh_id = self._installation.fresh_id
        self._core, self._store = self._opened.core, self._opened.store

    def close(self) -> None:
        """Close the file and remove it."""
        self._opened.close()
        removed(self._folder)

    def ailing(self) -> list[str]:
        """Return what the SDK's own doctor finds wrong."""
        return [f"{one.check}: {one.detail}" for one in examine(self._opened) if not one.holds]

    @property
    def token(self) -> str:
        """The device id that its requests are made with."""
        return self._installation.token

    @property
    def schema(self) -> Schema:
        """The schema that its app knows."""
        return self._schema

    # What a person does

    def create(
        self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None
    ) -> Change | None:
        """Bring an entity into being."""
        return self._write(
            key, lambda _, stamp: changes.create(*key, wanted, stamp, self._schema), transaction_id
        )

    def edit(self, key: Key, wanted: Mapping[str, Value], transaction_id: str | None = None) -> Change | None:
        """Make the shown entity hold `wanted`."""

        def author(shown: Shown, stamp: changes.Stamp) -> Change | None:
            return None if shown.entity is None else changes.edit(shown.entity, wanted, stamp, self._schema)

        return self._write(key, author, transaction_id)

    def delete(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Delete the shown entity."""

        def author(shown: Shown, stamp: changes.Stamp) -> Change | None:
            return None if shown.entity is None else changes.delete(shown.entity, stamp)

        return self._write(key, author, transaction_id)

    def restore(self, key: Key, transaction_id: str | None = None) -> Change | None:
        """Undo the deletes that this device knows of."""

        def author(shown: Shown, stamp: changes.Stamp) -> Change | None:
            return None if shown.entity is None else changes.restore(shown.entity, stamp)

        return self._write(key, author, transaction_id)

    def resolve(self, key: Key, path: str, choice: Value) -> Change | None:
        """Settle the conflict at `path`."""
        conflict = next(one for one in self.conflicts(key) if one.path == path)

        def author(shown: Shown, stamp: changes.Stamp) -> Change | None:
            entity = shown.entity
            return None if entity is None else changes.resolve(entity, conflict, choice, stamp, self._schema)

        return self._write(key, author, None)

    def _write(self, key: Key, author: Author, transaction_id: str | None) -> Change | None:
        try:
            return self._core.write(key, author, self._clock(), transaction_id)
        except StorageError as error:
            raise _full(error) from error

    def set_aside(self, dot: Dot) -> None:
        """Give up a pending change, with its transaction."""
        self._core.set_aside(dot, rejected("discarded", "the user gave it up"))

    def retry(self, dot: Dot) -> Change | None:
        """Try a rejected change again."""
        return self._core.retry(dot, self._clock())

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list."""
        self._core.discard(dot)

    # What a screen shows

    def all_keys(self) -> Sequence[Key]:
        """Return what there is to show, sorted."""
        trunk = {key for key, _ in self._store.trunk_tags()}
        others = [key for key in self._store.entity_keys() if key not in trunk]
        return sorted([*trunk, *(key for key in others if self._core.shown(key).entity is not None)])

    def entity(self, key: Key) -> Entity | None:
        """Return what the app finds of one entity; None where its view table shows something else."""
        entity = self._core.shown(key).entity
        table = self._opened.tables.get(key[0])
        if table is None:
            return entity
        row = self._opened.connection.execute(table.select, (key[1],)).fetchone()
        is_there = entity is not None and not is_deleted(entity, table.kind)
        expected = list(table.row(entity)) if entity is not None and is_there else None
        return entity if expected == (None if row is None else list(row)) else None

    def recomputed(self, key: Key) -> Entity | None:
        """Return the same, folded anew."""
        return self._core.shown(key).entity

    def conflicts(self, key: Key) -> Sequence[Conflict]:
        """Return the open conflicts of one entity, as they are listed."""
        return self._store.conflicts(*key)

    def pending(self) -> Iterable[Pushed]:
        """Return what waits to be answered."""
        return [Pushed(entry.change, entry.digest) for entry in self._store.pending()]

    def outbox_has(self, dot: Dot) -> bool:
        """Whether a change under this dot is in the outbox."""
        return bool(self._store.entries_by_dot([dot]))

    def rejected(self) -> Sequence[Rejected]:
        """Return the rejected list."""
        return self._store.rejected()

    def rows(self, keys: Collection[Key]) -> Mapping[Key, Held]:
        """Return the rows that it holds and can read."""
        try:
            found = self._store.trunks(keys)
        except StorageError:
            if len(keys) <= 1:
                return {}
            return {key: held for one in keys for key, held in self.rows([one]).items()}
        return {key: Held(row.seq, row.entity) for key, row in found.items()}

    # The line to the authority

    def session(self) -> Session:
        """Begin a sync session, as `Replica.sync` does."""
        return _told(self._exchange().steps())

    def _exchange(self) -> Exchange:
        def note_time() -> None:
            put_meta(self._opened.connection, LAST_SYNCED, str(self._clock()))

        return Exchange(self._core, rows_max=self._installation.rows_max, taken=note_time)

    def repair(self) -> Session:
        """Begin to do as `rightfit replica doctor --repair` and `verify --repair` do: see `rightfit_client.verify`."""
        return _told(self._repairing())

    def _repairing(self) -> Generator[Call, Response, None]:
        rebuilt(self._opened)
        self._core.resync()
        try:
            yield from self._reconciling()
        except RemoteError as error:
            if error.code == "offline":
                raise
            # The authority was restored, or has collected tombstones: a sync heals that.
        yield from self._exchange().steps()
        yield from self._reconciling()

    def _reconciling(self) -> Generator[Call, Response, None]:
        steps = Reconciliation(self._core, is_repair=True).steps()
        request = next(steps)
        while True:
            response = yield Call(request)
            try:
                request = steps.send(response)  # type: ignore[arg-type]
            except StopIteration:
                return

    # What may happen to a phone

    def arm(self, failure: Failure | None) -> None:
        """Let the disk fail, or the process die."""
        self._connection.arm(failure)

    def crash(self) -> None:
        """Start again from what is durable: the files as they were when it died, if it has."""
        self._restart(self._connection.left or copied(self._folder))

    def _restart(self, disk: Disk) -> None:
        self.close()
        self._start(disk)

    def backup(self) -> object:
        """Return a copy of the disk."""
        return copied(self._folder)

    def put_back(self, backup: object) -> None:
        """Replace the disk."""
        self._restart(cast("Disk", backup))

    def clone(self, clock: Clock, fresh_id: FreshId) -> "RealDevice":
        """Return another device with a copy of the disk."""
        home = self._home.with_name(f"{self._home.name}-{len(list(self._home.parent.iterdir()))}")
        installation = self._installation._replace(schema=self._schema, clock=clock, fresh_id=fresh_id)
        return RealDevice(home, installation, copied(self._folder))

    def damage(self, key: Key, *, is_lost: bool) -> bool:
        """Let the stored row of `key` rot, or be lost, behind the SDK's back."""
        where = "WHERE kind = ? AND entity_id = ?"
        found = self._opened.connection.execute(f"SELECT row FROM rightfit_trunk {where}", key).fetchone()
        if found is None:
            return False
        if is_lost:
            self._opened.connection.execute(f"DELETE FROM rightfit_trunk {where}", key)
        else:
            rotten = bytearray(found[0])
            rotten[len(rotten) // 2] ^= 0x10
            self._opened.connection.execute(
                f"UPDATE rightfit_trunk SET row = ? {where}",
                (bytes(rotten), *key),
            )
        return True

    def upgrade(self, schema: Schema) -> None:
        """Install a newer app, which finds the file of the former."""
        # What is damaged is mended by the app that knows the file: the upgrade reads every row.
        drop_damaged(self._opened)
        self._schema = schema
        self.crash()


def _told(steps: Generator[Call, Response, object]) -> Session:
    """Say of a disk that is full what the simulated world expects."""
    try:
        return (yield from steps)
    except StorageError as error:
        raise _full(error) from error


def _full(error: StorageError) -> Exception:
    return DiskFullError(str(error)) if error.code == "disk_full" else error
