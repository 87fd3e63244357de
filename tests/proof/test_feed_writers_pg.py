"""The feed under eight writers at once, of whose pushes many are rolled back: readers miss nothing.

Writers push through the real service to the real database. A push may be cancelled at any await, its session may be
terminated by the database, or a statement may fail after everything was written and numbered; what became of it the
writer learns by pushing the same again. Readers follow with cursors, in pages of several sizes. In the end each
reader must have seen exactly what there is, each row version once, and the numbers must be without a gap.

`RIGHTFIT_FEED_SECONDS=60` is the long run.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

import anyio
import psycopg
import pytest
from anyio.lowlevel import checkpoint

from rightfit_server.ingest.service import Ingest
from rightfit_server.ports.storage import CommitPlan, Committed, ContentionError, Identity, UnavailableError
from rightfit_server.postgres.ingest_store import PostgresIngest
from rightfit_server.postgres.pool import Connection, make_pool
from rightfit_server.postgres.transaction import PostgresStorage
from rightfit_sync.causality.dot import Dot
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.records import Change, Patch, digest
from rightfit_sync.store import Key
from rightfit_sync.wire.messages import SyncRequest
from tests.server.application import APPLICATION
from tests.server.fixtures import database, template
from tests.server.world import Database, FailedError, Phone, World, serving

__all__ = ["database", "template"]

pytestmark = pytest.mark.anyio

SECONDS = float(os.environ.get("RIGHTFIT_FEED_SECONDS", "5"))
WRITERS = 8
SHARED = [f"shared-{number}" for number in range(12)]
PAGES = (9, 60, 2_000)
CANCELLED, FAILED, HELD = 0.15, 0.10, 0.20
"""Shares of pushes that are cancelled, fail at the last moment, and are held before they commit."""
TERMINATE_SECONDS = 0.15
"""How often the database terminates a session that is in the middle of a push."""


class InjectedError(Exception):
    """A statement failed after the whole commit had been written."""


class RollingBack(PostgresIngest):
    """Fails after everything is written and numbered, or takes its time with the commit."""

    def __init__(
        self, connection: Connection, pipeline: psycopg.AsyncPipeline, tenant_id: str, random: Random
    ) -> None:
        super().__init__(connection, pipeline, tenant_id)
        self._random = random

    async def commit(self, plan: CommitPlan) -> Committed:
        committed = await super().commit(plan)
        chance = self._random.random()
        if chance < FAILED:
            await self._connection.execute("SELECT 1 / 0")
        if chance > 1 - HELD:
            await self._connection.execute("SELECT pg_sleep(%s)", (self._random.random() * 0.02,))
        return committed


class RollingBackStorage(PostgresStorage):
    """A storage whose pushes are rolled back at random."""

    random = Random(8)

    @asynccontextmanager
    async def ingest(self, tenant_id: str) -> AsyncIterator[PostgresIngest]:
        try:
            async with super().ingest(tenant_id) as transaction:
                yield RollingBack(transaction._connection, transaction._pipeline, tenant_id, self.random)
        except psycopg.errors.DivisionByZero as error:
            raise InjectedError from error


class Writer:
    """Makes records of its own, and edits them and those of all; keeps what it has sent until there are receipts."""

    def __init__(self, ingest: Ingest, identity: Identity, seed: int) -> None:
        self._ingest = ingest
        self._identity = identity
        self._random = Random(seed)
        self._counter = 0
        self._latest: dict[str, Dot] = {}
        self.outcomes: Counter[str] = Counter()

    async def write(self, deadline: float) -> None:
        clock = asyncio.get_running_loop().time
        while clock() < deadline:
            changes = [self._change() for _ in range(self._random.randrange(1, 6))]
            await self._push([Pushed(change, digest(change)) for change in changes])

    def _change(self) -> Change:
        self._counter += 1
        dot = Dot(self._identity.device_id, self._counter)
        entity_id = self._random.choice([*SHARED, *self._latest]) if self._random.random() < 0.4 else ""
        if not entity_id:
            made = f"{dot.device_id}-{dot.counter}"
            self._latest[made] = dot
            return Change(dot, "job", made, "create", patches={"title": Patch(value="x")})
        known = self._latest.get(entity_id)
        self._latest[entity_id] = dot
        base = {} if known is None else {known.device_id: known.counter}
        patch = Patch(value=f"{dot.counter}", base="x", replaces=[] if known is None else [known])
        return Change(dot, "job", entity_id, "edit", base, {"title": patch}, written_at=dot.counter)

    async def _push(self, changes: Sequence[Pushed]) -> None:
        """Push until there are receipts for all."""
        while True:
            pushing = asyncio.create_task(self._ingest.push(self._identity, changes))
            if self._random.random() < CANCELLED:
                for _ in range(self._random.randrange(60)):
                    await checkpoint()
                pushing.cancel()
            try:
                answer = await pushing
            except (asyncio.CancelledError, InjectedError, UnavailableError, ContentionError) as fault:
                self.outcomes[type(fault).__name__] += 1
                continue
            assert [receipt.dot for receipt in answer.receipts] == [one.change.dot for one in changes]
            self.outcomes.update(receipt.outcome.status for receipt in answer.receipts)
            return


class Reader:
    """Follows the feed in pages of one size and notes what it is told."""

    def __init__(self, phone: Phone, rows_max: int) -> None:
        self._phone = phone
        self._rows_max = rows_max
        self._cursor: str | None = None
        self.seen: Counter[tuple[Key, int]] = Counter()
        self.latest: dict[Key, int] = {}
        self.pages = self.faults = 0

    async def read(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            await self._page()
        while await self._page():
            pass

    async def _page(self) -> bool:
        request = SyncRequest(
            protocol_version=PROTOCOL_VERSION,
            schema_version=APPLICATION.schema.schema_version,
            cursor=self._cursor,
            rows_max=self._rows_max,
        )
        try:
            page = (await self._phone.send(request)).page
        except FailedError as failed:
            if failed.problem.status != 503:
                raise
            self.faults += 1
            return True
        assert page is not None
        assert not page.evicted
        for row in page.rows:
            key = (row.entity.kind, row.entity.entity_id)
            assert row.seq > self.latest.get(key, 0), f"{key} went back in the feed"
            self.seen[key, row.seq] += 1
            self.latest[key] = row.seq
        self._cursor = page.cursor
        self.pages += 1
        return page.more


async def terminate(database: Database, random: Random, is_over: asyncio.Event) -> int:
    """Terminate a session that is in a transaction, again and again; return how many were."""
    count = 0
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rightfit'"
        " AND xact_start IS NOT NULL"
    )
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        while not is_over.is_set():
            found = await (await connection.execute(query)).fetchall()
            if found:
                await connection.execute("SELECT pg_terminate_backend(%s)", random.choice(found))
                count += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), TERMINATE_SECONDS)
    return count


@pytest.fixture
async def world(database: Database, anyio_backend: str) -> AsyncIterator[World]:
    async with serving(database, pool_connections_max=4) as running:
        yield running


@pytest.fixture
async def ingest(database: Database, anyio_backend: str) -> AsyncIterator[Ingest]:
    """The real service, over a storage whose pushes are rolled back at random."""
    pool = make_pool(database.settings(pool_connections_max=WRITERS))
    storage = RollingBackStorage(pool)
    await storage.open()
    try:
        yield Ingest(storage, APPLICATION)
    finally:
        await storage.close()


@pytest.mark.timeout(300 + 2 * SECONDS)
async def test_readers_miss_nothing_of_eight_writers_whose_pushes_are_rolled_back(
    world: World, ingest: Ingest, database: Database
) -> None:
    office = world.office()
    for name in SHARED:
        office.create(("job", name), {"title": "x"})
    await office.settle()
    writers = [Writer(ingest, world.phone("olga").identity, seed) for seed in range(WRITERS)]
    readers = [Reader(world.phone("olga"), rows_max) for rows_max in PAGES]
    is_over, killed = asyncio.Event(), 0

    async def write() -> None:
        deadline = asyncio.get_running_loop().time() + SECONDS
        async with anyio.create_task_group() as group:
            for writer in writers:
                group.start_soon(writer.write, deadline)
        is_over.set()

    async def kill() -> None:
        nonlocal killed
        killed = await terminate(database, Random(9), is_over)

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        group.start_soon(kill)
        for reader in readers:
            group.start_soon(reader.read, is_over)
    outcomes = sum((writer.outcomes for writer in writers), Counter[str]())
    print(f"{dict(outcomes)}, {killed} sessions terminated, pages {[reader.pages for reader in readers]}")
    check_numbers(database)
    check_readers(database, readers)
    check_changes(database, outcomes, office)
    faults = ("CancelledError", "InjectedError", "UnavailableError")
    assert all(outcomes[name] for name in (*faults, "applied", "conflicted")), outcomes


def check_numbers(database: Database) -> None:
    """Every number from 1 to the head belongs to one commit, and the commit has as many as it wrote rows."""
    ((head,),) = database.rows("SELECT head FROM app.tenants")
    written = dict(
        database.rows(
            "SELECT commit_seq, count(DISTINCT (kind, entity_id)) FROM app.changes"
            " WHERE status IN ('applied', 'merged', 'conflicted') GROUP BY commit_seq"
        )
    )
    before, starts = 0, {}
    for (seq,) in database.rows("SELECT seq FROM app.commits ORDER BY seq"):
        # A change of grants has no row, and takes a number of its own.
        assert seq - max(1, written.get(seq, 0)) == before, f"numbers are missing before commit {seq}"
        before, starts[seq] = seq, before
    assert before == head
    for seq, commit_seq in database.rows("SELECT seq, commit_seq FROM app.entities"):
        assert starts[commit_seq] < seq <= commit_seq


def check_readers(database: Database, readers: Sequence[Reader]) -> None:
    """Every reader has what there is, and was told nothing twice."""
    there = {
        (kind, entity_id): seq
        for kind, entity_id, seq in database.rows("SELECT kind, entity_id, seq FROM app.entities")
    }
    for reader in readers:
        missed = {key for key, seq in there.items() if reader.latest.get(key) != seq}
        assert not missed, f"{len(missed)} of {len(there)} rows missed"
        assert reader.latest.keys() == there.keys()
        assert set(reader.seen.values()) == {1}


def check_changes(database: Database, outcomes: Counter[str], office: Phone) -> None:
    """What the writers were answered is what is kept, each change once."""
    kept = database.rows(
        "SELECT status, count(*) FROM app.changes WHERE device_id <> %s GROUP BY status", (office.device_id,)
    )
    assert dict(kept) == {
        status: outcomes[status] for status in ("applied", "conflicted") if outcomes[status]
    }
