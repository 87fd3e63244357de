"""A schema with every type, an authority in this process, and replicas that talk to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import pytest

from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority, served, token_for
from rightfit_sync.schema.declare import declare, group, invariant, kind, merge, ref
from rightfit_sync.schema.spec import Schema

NOW = 1_763_830_000_000


class Step(msgspec.Struct):
    note: str = ""
    done: bool = False


@kind("property", audience=["all"])
class Property(msgspec.Struct):
    address: str


@kind(
    "work_order",
    audience=["all", "team:{team}"],
    groups={"completion": group("status", "completed_at", lead="status")},
    invariants={"dates": invariant("ordered", "opened_on", "due_on")},
)
class WorkOrder(msgspec.Struct):
    title: str
    notes: Annotated[str, merge("text", on_overlap="merge")]
    cost_pence: Annotated[int, merge("counter")]
    price: Decimal
    ratio: float
    opened_on: date
    due_on: date
    visited_at: datetime
    signature: bytes
    urgent: bool
    priority: Annotated[str, merge("register")]
    team: str
    status: Annotated[
        str, merge("workflow", transitions={"OPEN": ["ASSIGNED"], "ASSIGNED": ["DONE"], "DONE": []})
    ]
    completed_at: str
    tags: set[str]
    meta: Annotated[dict[str, Decimal], merge("map")]
    checklist: list[Step]
    anything: object
    property_id: Annotated[str | None, ref("property")] = None


SCHEMA = declare(1, Property, WorkOrder)


class OpenReplica(Protocol):
    """Opens the replica of a device of `authority`; it is closed after the test."""

    def __call__(self, name: str, /, **options: object) -> Replica: ...


@pytest.fixture
def schema() -> Schema:
    return SCHEMA


@pytest.fixture
def authority() -> HttpAuthority:
    authority = HttpAuthority(SCHEMA)
    authority.clock = lambda: NOW
    return authority


@pytest.fixture
def serve(authority: HttpAuthority) -> Iterator[Callable[[], str]]:
    """Puts the authority behind a real socket and returns its URL."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(served(authority))


@pytest.fixture
def make_token() -> Callable[..., str]:
    return token_for


@pytest.fixture
def open_replica(tmp_path: Path, authority: HttpAuthority) -> Iterator[OpenReplica]:
    with ExitStack() as stack:

        def opened(name: str, **options: object) -> Replica:
            settings: dict[str, object] = {
                "schema": authority.memory.schema,
                "url": "http://authority",
                "token": token_for(name),
                "clock": lambda: NOW,
                "transport": authority,
                "async_transport": authority,
                **options,
            }
            if name not in authority.memory.devices:
                authority.let_in(name)
            replica = Replica.open(tmp_path / f"{name}.db", **settings)  # type: ignore[arg-type]
            return stack.enter_context(replica)

        yield opened


@pytest.fixture
def replica(open_replica: OpenReplica) -> Replica:
    return open_replica("dev-a")
