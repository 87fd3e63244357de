"""A first pull of 50,000 entities: in pages, with progress, and resumed where it stopped."""

from collections.abc import Callable

import httpx
import pytest

from rightfit_client import Offline, Progress, Replica
from rightfit_client.testing import HttpAuthority
from rightfit_sync import Entity, Sibling
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.feed import Page, Row
from rightfit_sync.limits import ROWS_PER_PAGE
from rightfit_sync.wire.codec import MSGPACK, decode, decompress, encode
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

ENTITIES = 50_000


def row(seq: int) -> Row:
    address = Sibling(value=f"{seq} High Street", dots=[WrittenDot("dev-z", seq, 1)])
    entity = Entity("property", f"{seq:032x}", {"dev-z": seq}, {"address": [address]})
    return Row(seq, entity, ["all"])


def feed(request: httpx.Request, body: bytes) -> httpx.Response:
    """An authority that holds 50,000 entities, each a commit of its own; its cursor is the bare position."""
    plain = decompress(body) if request.headers.get("content-encoding") == "zstd" else body
    asked = decode(plain, MSGPACK, SyncRequest)
    start = int(asked.cursor or 0)
    end = min(start + asked.rows_max, ENTITIES)
    page = Page(
        str(end),
        ["all"],
        [row(seq) for seq in range(start + 1, end + 1)],
        more=end < ENTITIES,
        remaining=ENTITIES - end,
    )
    response = SyncResponse(1, 1, "e1", ["property", "work_order"], page=page)
    return httpx.Response(200, content=encode(response), headers={"Content-Type": MSGPACK})


def test_a_pull_of_50000_entities_streams_in_pages_and_resumes_where_it_stopped(
    open_replica: Callable[..., Replica], authority: HttpAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "serve", feed)
    replica = open_replica("dev-a")
    told: list[Progress] = []
    authority.faults += [None] * 20
    authority.drop_request()
    with pytest.raises(Offline):
        replica.sync(told.append)
    assert len(told) == 20
    stopped = 20 * ROWS_PER_PAGE
    assert (told[-1].pulled, told[-1].remaining) == (stopped, ENTITIES - stopped)
    # What has come is there to be used, even after the program ends.
    replica.close()
    replica = open_replica("dev-a")
    assert replica.select("select count(*) as n from property") == [{"n": stopped}]
    assert replica.sync(told.append).pulled == ENTITIES - stopped
    assert [one.remaining for one in told] == list(range(ENTITIES - ROWS_PER_PAGE, -1, -ROWS_PER_PAGE))
    assert replica.select("select count(*) as n from property") == [{"n": ENTITIES}]
    assert replica.get("property", f"{ENTITIES:032x}") == {
        "entity_id": f"{ENTITIES:032x}",
        "address": f"{ENTITIES} High Street",
    }
