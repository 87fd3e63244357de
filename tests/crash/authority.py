"""The authority of the crash histories, and the records that they write.

What it decides follows from the requests alone, so that whoever has the log has the authority as it was at any moment.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec

from rightfit_client.testing import HttpAuthority
from rightfit_sync.records import Change, Entity, Outcome, rejected
from rightfit_sync.schema.declare import declare, kind, merge
from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.authority import MemoryAuthority
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

DEVICE: Final = "dev-a"
OTHERS: Final = ("dev-b", "dev-c")
URL: Final = "http://authority"
FORBIDDEN: Final = "forbidden"
BODY_BYTES_MAX: Final = 6_000
NOW: Final = 1_763_830_000_000


@kind("property", audience=["all"])
class Property(msgspec.Struct):
    address: str


@kind("work_order", audience=["all"])
class WorkOrder(msgspec.Struct):
    title: str
    notes: Annotated[str, merge("text", on_overlap="merge")]
    cost_pence: Annotated[int, merge("counter")]
    tags: set[str]


@kind("work_order", audience=["all"])
class UrgentWorkOrder(msgspec.Struct):
    title: str
    notes: Annotated[str, merge("text", on_overlap="merge")]
    cost_pence: Annotated[int, merge("counter")]
    tags: set[str]
    urgent: bool


@kind("visit", audience=["all"])
class Visit(msgspec.Struct):
    note: str


SCHEMAS: Final[Mapping[int, Schema]] = {
    1: declare(1, Property, WorkOrder),
    2: declare(2, Property, UrgentWorkOrder, Visit),
}


def _authorize(_subject: str, _entity: Entity | None, change: Change) -> Outcome | None:
    if any(patch.value == FORBIDDEN for patch in change.patches.values()):
        return rejected("not_permitted", "nobody may write that")
    return None


class ListeningAuthority(MemoryAuthority):
    """Tells `heard` of each request once it is decided."""

    heard: Callable[[str, int, SyncRequest], None]

    def sync(self, device_id: str, request: SyncRequest, now: int) -> SyncResponse:
        """Answer one exchange."""
        response = super().sync(device_id, request, now)
        self.heard(device_id, now, request)
        return response


def over_http(memory: MemoryAuthority) -> HttpAuthority:
    """Return `memory` behind the server's routes."""
    http = HttpAuthority(memory.schema)
    http.memory = memory
    http.body_bytes_max = BODY_BYTES_MAX
    http.clock = lambda: NOW
    return http


def let_all_in(memory: MemoryAuthority) -> MemoryAuthority:
    """Register everybody at a new authority."""
    memory.grant("ann", ["all"])
    for device_id in (DEVICE, *OTHERS):
        memory.register(device_id, "ann")
    return memory


def new_authority() -> MemoryAuthority:
    """Return the authority that nobody has asked anything."""
    return let_all_in(MemoryAuthority(SCHEMAS[2], authorize=_authorize))


def listening_authority(heard: Callable[[str, int, SyncRequest], None]) -> ListeningAuthority:
    """Return a new authority that tells what it is asked."""
    authority = ListeningAuthority(SCHEMAS[2], authorize=_authorize)
    authority.heard = heard
    let_all_in(authority)
    return authority
