"""`MemoryAuthority`: an authority in memory, for one tenant, around the `ingest.decide` that a server runs.

It keeps what a server keeps in its database: entities with their place in the feed, receipts for ever,
aliases, history, devices, grants. One push is one commit; each changed row of it takes the next sequence
number; a page holds whole commits. Where an entity leaves a subject's audience, the feed says *evict*.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import apply
from rightfit_sync.audience import audience, lends, own_tags
from rightfit_sync.causality.dot import AUTHORITY_PREFIX, Dot
from rightfit_sync.changes import Stamp
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS, Evicted, Page, Row, chained, cut
from rightfit_sync.ingest.decide import decide
from rightfit_sync.ingest.snapshot import (
    Decision,
    Device,
    Key,
    NeedMore,
    Pushed,
    Receipt,
    Recorded,
    Snapshot,
    wanted,
)
from rightfit_sync.life import is_deleted
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.records import Alias, Change, Entity, Outcome, digest
from rightfit_sync.references import references
from rightfit_sync.schema.spec import Schema
from rightfit_sync.wire.cursor import Cursor, sign, verify
from rightfit_sync.wire.messages import Deferred, SyncRequest, SyncResponse

Authorize = Callable[[str, Entity | None, Change], Outcome | None]
"""Given subject, entity before and change: the rejection, or None."""

TENANT_ID = "memory"


class Held(msgspec.Struct, frozen=True):
    """One entity as the authority has it.

    `commit` is the last sequence number of the commit that holds `seq`; `ever` are all tags that its audience
    has had, `writers` the devices that have changed it.
    """

    seq: int
    commit: int
    entity: Entity
    audience: Sequence[str] = ()
    ever: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()
    orphans: Sequence[str] = ()
    suggestions: Mapping[str, str] = {}


class Grant(msgspec.Struct, frozen=True):
    """The tags that a subject holds, and the number of the latest change to them."""

    tags: frozenset[str]
    number: int


def _permit(_subject: str, _entity: Entity | None, _change: Change) -> Outcome | None:
    return None


class MemoryAuthority:
    """One tenant. `schema` and `authorize` may be replaced at any time (an upgrade, a new rule)."""

    def __init__(self, schema: Schema, *, authorize: Authorize = _permit, epoch: str = "e1") -> None:
        self.schema = schema
        self.authorize = authorize
        self.epoch = epoch
        self.head = 0
        self.horizon = 0
        self.held: dict[Key, Held] = {}
        self.receipts: dict[Dot, Receipt] = {}
        self.aliases: dict[Alias, Receipt] = {}
        self.history: list[Recorded] = []
        self.devices: dict[str, Device] = {}
        self.subjects: dict[str, str] = {}
        self.grants: dict[str, Grant] = {}
        self._authority_counter = 0
        self._chains = {0: GENESIS}
        self._grants_made = 0
        self._feed: dict[int, Key] = {}

    def copy(self) -> "MemoryAuthority":
        """Return a backup: the same now, on its own from here. Restored, it needs another `epoch`."""
        twin = MemoryAuthority(self.schema, authorize=self.authorize, epoch=self.epoch)
        for name, value in vars(self).items():
            setattr(twin, name, value.copy() if isinstance(value, dict | list) else value)
        return twin

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give `subject` exactly these tags."""
        self._grants_made += 1
        self.grants[subject] = Grant(frozenset(tags), self._grants_made)

    def register(self, device_id: str, subject: str, former_ids: Collection[str] = ()) -> None:
        """Let a device in; `former_ids` are those that its replica used before."""
        self.subjects[device_id] = subject
        self.devices[device_id] = Device(device_id, 0, frozenset(former_ids))
        if subject not in self.grants:
            self.grant(subject, ())

    def entity(self, key: Key) -> Entity | None:
        """Return the trunk of one entity."""
        return self.held[key].entity if key in self.held else None

    def conflicts(self, key: Key) -> list[Conflict]:
        """Return the open conflicts of one entity."""
        held = self.held[key]
        return conflicts(held.entity, self.schema, held.orphans)

    def sync(self, device_id: str, request: SyncRequest, now: int) -> SyncResponse:
        """Answer one exchange: first the push, then a page."""
        receipts, deferred = self.push(device_id, request.changes, now)
        page = self.pull(device_id, request.cursor, request.rows_max) if request.rows_max else None
        return SyncResponse(
            protocol_version=PROTOCOL_VERSION,
            schema_version=self.schema.schema_version,
            epoch=self.epoch,
            kinds=sorted(self.schema.kinds),
            receipts=receipts,
            deferred=[Deferred(dot, "schema_ahead") for dot in deferred],
            page=page,
        )

    def push(
        self, device_id: str, changes: Sequence[Pushed], now: int
    ) -> tuple[Sequence[Receipt], Sequence[Dot]]:
        """Decide about a push and commit the decision; return the receipts and the deferred dots."""
        if not changes:
            return (), ()
        device = self.devices[device_id]
        keys, dots = wanted(changes, device, self.schema)
        referrers: dict[Key, Sequence[Key]] = {}
        subject = self.subjects[device_id]
        while True:
            snapshot = self._snapshot(device, keys, dots, referrers)
            decision = decide(
                changes,
                snapshot,
                self.schema,
                authorize=lambda entity, change: self.authorize(subject, entity, change),
                now=now,
            )
            if isinstance(decision, Decision):
                break
            keys = [*keys, *decision.entities]
            referrers.update(self._load_referrers(decision))
        self._commit(device, changes, decision)
        return decision.receipts, decision.deferred

    def _load_referrers(self, need: NeedMore) -> dict[Key, Sequence[Key]]:
        return {
            target: [holder for holder in self.held if self._refers(holder, target)]
            for target in need.referrers
        }

    def _refers(self, holder: Key, target: Key) -> bool:
        return any(
            (one.kind, one.entity_id) == target for one in references(self.held[holder].entity, self.schema)
        )

    def _snapshot(
        self, device: Device, keys: Sequence[Key], dots: Sequence[Dot], referrers: Mapping[Key, Sequence[Key]]
    ) -> Snapshot:
        asked = frozenset(dots)
        return Snapshot(
            device=device,
            authority_device_id=AUTHORITY_PREFIX + self.epoch,
            authority_counter=self._authority_counter,
            entities={key: self.entity(key) for key in keys},
            receipts={dot: self.receipts[dot] for dot in dots if dot in self.receipts},
            aliases={alias: receipt for alias, receipt in self.aliases.items() if alias.dot in asked},
            referrers=referrers,
            orphans={key: self.held[key].orphans for key in keys if key in self.held},
        )

    def _commit(self, device: Device, changes: Sequence[Pushed], decision: Decision) -> None:
        self.devices[device.device_id] = replace(device, counter=decision.device_counter)
        self._authority_counter = decision.authority_counter
        was = {pushed.change.dot: pushed.change.was for pushed in changes}
        for receipt in decision.receipts:
            self.receipts[receipt.dot] = receipt
            alias = was[receipt.dot]
            if alias is not UNSET and receipt.outcome.is_accepted:
                self.aliases[alias] = receipt
        self._write(decision.entities, decision.orphans, decision.recorded)

    def write(self, key: Key, author: Callable[[Entity, Stamp], Change | None], now: int) -> Change | None:
        """Make and commit a change of the authority's own (a photo's analysis, say)."""
        entity = self.held[key].entity
        change = author(entity, Stamp(Dot(AUTHORITY_PREFIX + self.epoch, self._authority_counter + 1), now))
        if change is None:
            return None
        after, outcome = apply(entity, change, self.schema)
        if after is None or outcome.status == "rejected":
            raise ValueError(outcome.message)
        self._authority_counter += 1
        self._write({key: after}, {}, [Recorded(change, digest(change), outcome)])
        return change

    def purge(self) -> None:
        """Collect every tombstone; a device whose cursor lies before this must resync. Receipts stay."""
        for key, held in list(self.held.items()):
            kind = self.schema.kinds.get(key[0])
            if kind is not None and is_deleted(held.entity, kind):
                del self.held[key]
                del self._feed[held.seq]
                self.horizon = max(self.horizon, held.commit)

    def _write(
        self,
        entities: Mapping[Key, Entity],
        orphans: Mapping[Key, Sequence[str]],
        recorded: Sequence[Recorded],
    ) -> None:
        self.history += recorded
        if not entities:
            return
        before = {key: self.held[key] for key in entities if key in self.held}
        nearby = {near for held in before.values() for near in self._targets(held.entity)}
        for key, entity in entities.items():
            held = before.get(key, Held(0, 0, entity))
            self.held[key] = replace(held, entity=entity, orphans=orphans.get(key, held.orphans))
            nearby |= self._targets(entity)
        for one in recorded:
            if one.outcome.is_accepted:
                self._note(one)
        moved = [key for key in sorted(nearby - set(entities)) if self._audience_has_changed(key)]
        self._number([*entities, *moved])

    def _targets(self, entity: Entity) -> set[Key]:
        """Return the entities whose audience may follow from `entity`."""
        targets = {(one.kind, one.entity_id) for one in references(entity, self.schema)}
        key = (entity.kind, entity.entity_id)
        inherited = any(
            one.inherits_audience for kind in self.schema.kinds.values() for one in kind.references.values()
        )
        return targets | {holder for holder in self.held if inherited and self._refers(holder, key)}

    def _note(self, recorded: Recorded) -> None:
        key = (recorded.change.kind, recorded.change.entity_id)
        held = self.held[key]
        offered = {**held.suggestions, **recorded.outcome.suggestions}
        open_paths = {path for path, siblings in held.entity.fields.items() if len(siblings) > 1}
        self.held[key] = replace(
            held,
            writers=held.writers | {recorded.change.dot.device_id},
            suggestions={path: text for path, text in offered.items() if path in open_paths},
        )

    def _audience_has_changed(self, key: Key) -> bool:
        return key in self.held and self._audience(key) != list(self.held[key].audience)

    def _number(self, keys: Sequence[Key]) -> None:
        commit = self.head + len(keys)
        for key in keys:
            self.head += 1
            held = self.held[key]
            tags = self._audience(key)
            self._feed.pop(held.seq, None)
            self._feed[self.head] = key
            self.held[key] = replace(
                held, seq=self.head, commit=commit, audience=tags, ever=held.ever | {*tags}
            )
        self._chains[commit] = chained(self._chains[next(reversed(self._chains))], commit, keys)

    def _audience(self, key: Key) -> list[str]:
        entity = self.held[key].entity
        inherited: set[str] = set()
        for one in references(entity, self.schema):
            target = self.entity((one.kind, one.entity_id))
            if one.spec.inherits_audience and target is not None:
                inherited |= own_tags(target, self.schema)
        return audience(own_tags(entity, self.schema), inherited, self._lent(key))

    def _lent(self, key: Key) -> set[str]:
        lending = any(
            one.lends_audience for kind in self.schema.kinds.values() for one in kind.references.values()
        )
        lent: set[str] = set()
        for held in self.held.values() if lending else ():
            for one in references(held.entity, self.schema):
                if (
                    one.spec.lends_audience
                    and (one.kind, one.entity_id) == key
                    and lends(held.entity, self.schema)
                ):
                    lent |= own_tags(held.entity, self.schema)
        return lent

    def pull(self, device_id: str, cursor: str | None, rows_max: int) -> Page:
        """Return the next page.

        Raises `RemoteError`: `cursor_expired` (410), `epoch_changed` (409), and those of `cursor.verify`.
        """
        grant = self.grants[self.subjects[device_id]]
        place = Cursor(TENANT_ID, device_id, self.epoch, 0, GENESIS, tags_seq=grant.number)
        if cursor is not None:
            place = self._checked(verify(cursor, b"memory", tenant_id=TENANT_ID, device_id=device_id))
        if place.tags_seq != grant.number:
            place = replace(place, tags_seq=grant.number, backfill=0)
        if place.backfill is not None:
            return self._backfill(place, grant, rows_max)
        found = [seq for seq in self._feed if seq > place.seq]
        commits = [self.held[self._feed[seq]].commit for seq in found]
        size = cut(commits, rows_max)
        size = len(commits) if size is None else size
        rows, evicted = self._rows(found[:size], grant, device_id)
        seq = commits[size - 1] if size else place.seq
        after = replace(place, seq=seq, chain=self._chains[seq])
        left = len(found) - size
        return Page(sign(after, b"memory"), sorted(grant.tags), rows, evicted, more=left > 0, remaining=left)

    def _checked(self, place: Cursor) -> Cursor:
        if place.epoch != self.epoch or self._chains.get(place.seq) != place.chain:
            message = "the authority was restored from a backup: offer what it lacks"
            raise RemoteError("epoch_changed", message, status=409, path="cursor")
        if place.seq < self.horizon:
            raise RemoteError(
                "cursor_expired", "tombstones are gone: rebuild the copy", status=410, path="cursor"
            )
        return place

    def _backfill(self, place: Cursor, grant: Grant, rows_max: int) -> Page:
        """Send what lies below the cursor again, after a change of grants."""
        start = place.backfill or 0
        found = [seq for seq in self._feed if start < seq <= place.seq]
        size = cut([self.held[self._feed[seq]].commit for seq in found], rows_max) or len(found)
        rows = [row for row in (self._row(self._feed[seq], grant) for seq in found[:size]) if row is not None]
        more = size < len(found)
        after = replace(place, backfill=found[size - 1] if more else None)
        left = len(found) - size
        return Page(
            sign(after, b"memory"),
            sorted(grant.tags),
            rows,
            more=more or place.seq < self.head,
            remaining=left,
        )

    def _rows(self, found: Sequence[int], grant: Grant, device_id: str) -> tuple[list[Row], list[Evicted]]:
        rows: list[Row] = []
        evicted: list[Evicted] = []
        for seq in found:
            key = self._feed[seq]
            row = self._row(key, grant)
            held = self.held[key]
            if row is not None:
                rows.append(row)
            elif held.ever & grant.tags or device_id in held.writers:
                evicted.append(Evicted(seq, *key))
        return rows, evicted

    def _row(self, key: Key, grant: Grant) -> Row | None:
        held = self.held[key]
        tags = sorted(grant.tags.intersection(held.audience))
        return Row(held.seq, held.entity, tags, held.orphans, held.suggestions) if tags else None
