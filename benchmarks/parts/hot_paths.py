"""The hot paths, each as a step that can be repeated: what `micro` times and `guard` watches.

| path | a step is |
|---|---|
| `apply.create` | creates of ten fields, applied to nothing |
| `apply.edit.<policy>` | edits of one field, which their writer had seen |
| `apply.merge.<policy>` | the same, by a writer who had not seen what another one wrote there |
| `codec.push`, `codec.page` | a push of changes, a page of rows: to bytes and back |
| `page.apply` | the sync of a fresh replica whose pages come from memory: decoding, SQLite, view tables |

Inputs are made by the product's own code before the step begins, from the records of `workload`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import msgspec

from benchmarks.application import OFFICE, SCHEMA
from benchmarks.clock import expect
from benchmarks.replicas import count, folder_in_memory, insert
from benchmarks.workload import KIND, Record, records
from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority
from rightfit_sync import changes
from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import Stamp
from rightfit_sync.records import Change, Entity
from rightfit_sync.values import Value
from rightfit_sync.wire.codec import MSGPACK, decode, encode
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

COUNT = 40
"""Changes or rows in one step, which then takes about a millisecond."""

PAGE_ROWS = 160
"""Rows that `page.apply` takes in: enough to hide what a sync costs besides."""

NOW = 1_767_225_600_000

EDITS: Mapping[str, tuple[Mapping[str, Value], Mapping[str, Value]]] = {
    "register": ({"title": "Boiler leaks"}, {"title": "Boiler drips"}),
    "text": ({"description": "Key at no. 9. {}"}, {"description": "{} No light either."}),
    "workflow": ({"status": "triaged"}, {"status": "quoted"}),
    "counter": ({"cost": 500_001}, {"cost": 500_002}),
    "set": ({"tags": ["damp"]}, {"tags": ["gas", "loft"]}),
    "maximum": ({"updated_at": "2026-03-01T00:00:00+00:00"}, {"updated_at": "2026-03-02T00:00:00+00:00"}),
}
"""By policy: what one writer makes of a record, and what the other does; `{}` is the text that both saw."""

Step = Callable[[], object]
Prepared = AbstractContextManager[Step]


def messages() -> dict[str, SyncRequest | SyncResponse]:
    """Return a push, and the page that brings the same records, of `COUNT` each."""
    push, page = _exchanged(_records())
    return {"push": push, "page": page}


def _records(count: int = COUNT) -> list[Record]:
    return [msgspec.structs.replace(one, status="new") for one in records(count)]


def paths() -> dict[str, Callable[[], Prepared]]:
    """Return every hot path: a context manager that prepares one run and gives the step."""
    made = _records()
    creates = [_create(record, number) for number, record in enumerate(made, 1)]
    seen = [_applied(None, change) for change in creates]
    found: dict[str, Callable[[], Prepared]] = {
        "apply.create": lambda: _ready(lambda: [apply(None, change, SCHEMA) for change in creates])
    }
    for policy, (ours, theirs) in EDITS.items():
        edits = [_edit(entity, ours, Dot("ann", 1)) for entity in seen]
        others = [_edit(entity, theirs, Dot("bob", 1)) for entity in seen]
        edited = [_applied(entity, change) for entity, change in zip(seen, edits, strict=True)]
        found[f"apply.edit.{policy}"] = _applying(seen, edits)
        found[f"apply.merge.{policy}"] = _applying(edited, others)
    push, page = _exchanged(made)
    found["codec.push"] = lambda: _ready(lambda: decode(encode(push), MSGPACK, SyncRequest))
    found["codec.page"] = lambda: _ready(lambda: decode(encode(page), MSGPACK, SyncResponse))
    _, long_page = _exchanged(_records(PAGE_ROWS))
    found["page.apply"] = lambda: _page_apply(long_page)
    return found


def _applying(entities: Sequence[Entity], made: Sequence[Change]) -> Callable[[], Prepared]:
    pairs = list(zip(entities, made, strict=True))
    return lambda: _ready(lambda: [apply(entity, change, SCHEMA) for entity, change in pairs])


@contextmanager
def _ready(step: Step) -> Iterator[Step]:
    yield step


def _create(record: Record, number: int) -> Change:
    values: dict[str, Value] = msgspec.to_builtins(record)
    entity_id = str(values.pop("id"))
    return changes.create(KIND, entity_id, values, Stamp(Dot("office", number), NOW), SCHEMA)


def _edit(entity: Entity, wanted: Mapping[str, Value], dot: Dot) -> Change:
    shown = entity.fields["description"][0].value
    filled = {
        name: value.format(shown) if isinstance(value, str) else value for name, value in wanted.items()
    }
    change = changes.edit(entity, filled, Stamp(dot, NOW + 1), SCHEMA)
    if change is None:
        raise ValueError(f"{filled} changes nothing")
    return change


def _applied(entity: Entity | None, change: Change) -> Entity:
    after, outcome = apply(entity, change, SCHEMA)
    if after is None or outcome.status not in ("applied", "merged"):
        raise ValueError(f"{change.patches} was {outcome.status}")
    return after


class _Canned(httpx.BaseTransport):
    """Answers every request with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self._body, headers={"Content-Type": MSGPACK})


def _exchanged(made: Sequence[Record]) -> tuple[SyncRequest, SyncResponse]:
    """Return a push of these records, and the page that another device is sent of them."""
    authority = HttpAuthority(SCHEMA)
    with folder_in_memory() as folder:
        token = authority.let_in("writer", "ann", [OFFICE])
        with _replica(folder / "writer.db", token, authority) as writer:
            insert(writer, made)
            writer.sync()
    push = authority.exchanges[0]
    authority.let_in("reader", "ann", [OFFICE])
    asked = msgspec.structs.replace(push, changes=(), cursor=None, device_id="")
    page = authority.memory.answer("reader", asked, NOW)
    if not isinstance(page, SyncResponse) or page.page is None or len(page.page.rows) != len(made):
        raise ValueError("the page does not hold what was pushed")
    return push, page


@contextmanager
def _page_apply(page: SyncResponse) -> Iterator[Step]:
    authority = HttpAuthority(SCHEMA)
    token = authority.let_in("reader", "ann", [OFFICE])
    with (
        folder_in_memory() as folder,
        _replica(folder / "reader.db", token, _Canned(encode(page))) as replica,
    ):
        yield replica.sync
        expect(count(replica), PAGE_ROWS, "rows that a page brought")


def _replica(path: Path, token: str, transport: httpx.BaseTransport) -> Replica:
    return Replica.open(
        path, schema=SCHEMA, url="http://memory", token=token, marker=None, transport=transport
    )
