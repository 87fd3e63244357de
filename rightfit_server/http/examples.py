"""The examples of the API's description: real messages, so that they keep in step with the code."""

from rightfit_server.accounts.tokens import Token
from rightfit_server.http.conflicts import Choice, OpenConflict, OpenConflicts
from rightfit_server.http.entities import History, HistoryEntry, Record
from rightfit_server.resolve.service import Resolved
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.conflicts import Conflict, conflict_id
from rightfit_sync.digests import Listed, bucket, row_digest, state_digest
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import Page, Row
from rightfit_sync.ingest.snapshot import Pushed, Receipt
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.records import Change, Entity, Outcome, Patch, Sibling, digest
from rightfit_sync.wire.messages import (
    Offer,
    ReconcileRequest,
    ReconcileResponse,
    Refused,
    SyncRequest,
    SyncResponse,
)
from rightfit_sync.wire.seal import SEAL_BYTES

KIND = "work_order"
ENTITY_ID = "01939f2e-7c1a-7000-8000-5b1d2f3a4c6e"
NOON = 1_763_830_000_000
PHONE, OFFICE = Dot("phone-1", 3), Dot("office-1", 7)

CHANGE = Change(
    dot=PHONE,
    kind=KIND,
    entity_id=ENTITY_ID,
    op="edit",
    base={"phone-1": 2},
    patches={"title": Patch(value="Boiler leaks", base="Boiler", replaces=[Dot("phone-1", 1)])},
    written_at=NOON,
)
APPLIED = Outcome(status="applied")
SIBLINGS = [
    Sibling("Boiler leaks", [WrittenDot("phone-1", 3, NOON)]),
    Sibling("Boiler drips", [WrittenDot("office-1", 7, NOON - 1000)]),
]
ENTITY = Entity(KIND, ENTITY_ID, {"phone-1": 3, "office-1": 7}, {"title": SIBLINGS})
ROW_DIGEST = row_digest(state_digest(ENTITY), ["landlord"])
DOTS = sorted([PHONE, OFFICE])
CONFLICT = Conflict(
    conflict_id(KIND, ENTITY_ID, "title", DOTS), KIND, ENTITY_ID, "title", "siblings", DOTS, SIBLINGS
)
RESOLUTION = Change(
    dot=Dot("server:e1", 1),
    kind=KIND,
    entity_id=ENTITY_ID,
    op="resolve",
    base=ENTITY.version_vector,
    patches={"title": Patch(value="Boiler leaks", base="Boiler leaks", replaces=DOTS)},
    written_at=NOON + 5000,
)
CURSOR = "l6J0MaZwaG9uZS0xomUxzQPoxCBjNTBlNDU1Zjc.kUinkLpcfZgINJlStc3i9g"

REQUEST = SyncRequest(PROTOCOL_VERSION, 1, [Pushed(CHANGE, digest(CHANGE))], CURSOR)
RESPONSE = SyncResponse(
    protocol_version=PROTOCOL_VERSION,
    schema_version=1,
    epoch="e1",
    kinds=[KIND],
    receipts=[Receipt(PHONE, digest(CHANGE), APPLIED)],
    page=Page(CURSOR, ["landlord"], [Row(1000, ENTITY, ["landlord"])]),
)
SEAL = b"\x5a" * SEAL_BYTES
COMPARE = ReconcileRequest(
    protocol_version=PROTOCOL_VERSION,
    schema_version=1,
    device_id="phone-1-b",
    cursor=CURSOR,
    prefixes=["5", "6"],
    listings=["51"],
    keys=[(KIND, ENTITY_ID)],
    offers=[Offer(ENTITY, SEAL)],
)
COMPARED = ReconcileResponse(
    protocol_version=PROTOCOL_VERSION,
    epoch="e2",
    kinds=[KIND],
    cursor=CURSOR,
    tags=["landlord"],
    buckets=[bucket("5", [ROW_DIGEST]), bucket("6", [])],
    listed=[Listed(KIND, ENTITY_ID, ROW_DIGEST)],
    rows=[Row(1001, ENTITY, ["landlord"], seal=SEAL)],
    refused=[Refused(KIND, "01939f2e-7c1a-7000-8000-5b1d2f3a4c6f", "seal_invalid")],
)
TOKEN = Token("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl", "phone-1", NOON // 1000)
RECORD = Record(KIND, ENTITY_ID, 1000, {"title": "Boiler leaks"}, [CONFLICT], None, ENTITY)
HISTORY = History([HistoryEntry(CHANGE, APPLIED, "ann", NOON)])
CONFLICTS = OpenConflicts([OpenConflict(CONFLICT, NOON, "office-1")])
CHOICE = Choice("Boiler leaks")
RESOLVED = Resolved(RESOLUTION, APPLIED)
GAP = RemoteError(
    "counter_gap",
    "phone-1:9 leaves a gap: the next counter is 4",
    status=409,
    path="dot",
    detail={"expected": 4},
)
