"""`MemoryAuthority`: an authority in memory, for one tenant, around the `ingest.decide` that a server runs.

It keeps what a server keeps in its database: entities with their place in the feed, receipts for ever,
aliases, history, devices, grants. One push is one commit; each changed row of it takes the next sequence
number; a page holds whole commits. Where an entity leaves a subject's audience, the feed says *evict*. `copy` and
`put_back` are backup and restore: what devices hold of the lost past comes back in by `reconcile`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import AUTHORITY_PREFIX, Dot, is_authority
from rightfit_sync.changes import Stamp
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.digests import Listed, bucket, place, row_digest, state_digest
from rightfit_sync.echo import left_out
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import GENESIS, Evicted, Page, Row, chained, cut
from rightfit_sync.ingest.decide import decide
from rightfit_sync.ingest.draft import next_counter
from rightfit_sync.ingest.offers import take_offers
from rightfit_sync.ingest.snapshot import (
    NO_PAST,
    Decision,
    Device,
    Key,
    NeedMore,
    Past,
    Pushed,
    Receipt,
    Recorded,
    Snapshot,
    wanted,
)
from rightfit_sync.life import is_deleted
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.records import APPLIED, Alias, Change, Entity, Outcome, digest
from rightfit_sync.schema.spec import Schema
from rightfit_sync.testing.held import Grant, Held
from rightfit_sync.testing.neighbours import audience_of, reached, referrers
from rightfit_sync.wire.cursor import Cursor, sign, verify
from rightfit_sync.wire.messages import (
    Deferred,
    Offer,
    ReconcileRequest,
    ReconcileResponse,
    Refused,
    SyncRequest,
    SyncResponse,
)
from rightfit_sync.wire.seal import is_genuine, seal

Authorize = Callable[[str, Entity | None, Change], Outcome | None]
"""Given subject, entity before and change: the rejection, or None."""

TENANT_ID = "memory"
_KEY = b"memory"


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
        self._pasts: dict[Key, Past] = {}
        self.history: list[Recorded] = []
        self.joined: list[Entity] = []
        self.devices: dict[str, Device] = {}
        self.subjects: dict[str, str] = {}
        self.grants: dict[str, Grant] = {}
        self.failures: dict[Dot, str] = {}
        self._first_ids: dict[str, str] = {}
        self._entered: dict[str, str] = {}
        self._tokens: set[str] = set()
        self._known: frozenset[Key] = frozenset()
        self._is_restored = False
        self._authority_counter = 0
        self._chains = {0: GENESIS}
        self._grants_made = 0
        self._feed: dict[int, Key] = {}

    def copy(self) -> "MemoryAuthority":
        """Return a backup: the same now, on its own from here."""
        twin = MemoryAuthority(self.schema, authorize=self.authorize, epoch=self.epoch)
        for name, value in vars(self).items():
            setattr(twin, name, value.copy() if isinstance(value, dict | list | set) else value)
        return twin

    def put_back(self, backup: "MemoryAuthority") -> None:
        """Forget all that has happened since `backup` was made, and that anything was forgotten.

        Tokens still work: devices that the backup does not know are entered again when they come. Call `begin_epoch`
        where somebody knows of it; otherwise the first device that had seen more gives it away.
        """
        kept = {"schema": self.schema, "authorize": self.authorize}
        tokens = {device_id: self.subjects[device_id] for device_id in self._tokens}
        vars(self).update(vars(backup.copy()) | kept)
        for device_id in tokens.keys() - self._tokens:
            self._enter(device_id, tokens[device_id], device_id, epoch="")
            self._tokens.add(device_id)

    def begin_epoch(self, proof: str = "") -> None:
        """Begin a new epoch, whose name follows from the past and `proof`."""
        named = msgspec.json.encode([self.epoch, self.head, self._chains[self.head], proof])
        self.epoch = f"e{blake2b(named, digest_size=4).hexdigest()}"
        self._authority_counter = 0
        self._is_restored = True

    def grant(self, subject: str, tags: Collection[str]) -> None:
        """Give `subject` exactly these tags."""
        self._grants_made += 1
        self.grants[subject] = Grant(frozenset(tags), self._grants_made)

    def register(self, device_id: str, subject: str, former_id: str | None = None) -> None:
        """Let a device in; `former_id` is one that its replica used before."""
        if former_id is None:
            self._tokens.add(device_id)
        first_id = device_id if former_id is None else self._first_ids[former_id]
        self._enter(device_id, subject, first_id, self.epoch)

    def _enter(self, device_id: str, subject: str, first_id: str, epoch: str) -> None:
        self.subjects[device_id] = subject
        self.devices[device_id] = Device(device_id, 0)
        self._first_ids[device_id] = first_id
        self._entered[device_id] = epoch
        if subject not in self.grants:
            self.grant(subject, ())

    def _replica_ids(self, device_id: str) -> frozenset[str]:
        first = self._first_ids[device_id]
        return frozenset(one for one, whose in self._first_ids.items() if whose == first)

    def _writing_as(self, token_device_id: str, device_id: str) -> str:
        """Return the id that a request is made under, entering it where it is a new one of the token's replica."""
        if not device_id or device_id == token_device_id:
            return token_device_id
        if device_id not in self.subjects and not is_authority(device_id):
            self.register(device_id, self.subjects[token_device_id], token_device_id)
        if self._first_ids.get(device_id) != self._first_ids[token_device_id]:
            message = f"{device_id} is not an id of this replica: use its own token"
            raise RemoteError("wrong_device", message, status=403, path="device_id")
        return device_id

    def entity(self, key: Key) -> Entity | None:
        """Return the trunk of one entity."""
        return self.held[key].entity if key in self.held else None

    def conflicts(self, key: Key) -> list[Conflict]:
        """Return the open conflicts of one entity."""
        held = self.held[key]
        return conflicts(held.entity, self.schema, held.orphans)

    def answer(
        self, device_id: str, request: SyncRequest | ReconcileRequest, now: int
    ) -> SyncResponse | ReconcileResponse:
        """Answer a request; `device_id` is that of the token."""
        if isinstance(request, ReconcileRequest):
            return self.reconcile(device_id, request, now)
        return self.sync(device_id, request, now)

    def sync(self, device_id: str, request: SyncRequest, now: int) -> SyncResponse:
        """Answer one exchange: first the push, then a page. A device of another past is told so before anything."""
        device_id = self._writing_as(device_id, request.device_id)
        place, made = self._place(device_id, request.cursor), len(self.history)
        before = {key: held.seq for key, held in self.held.items()} if request.takes_own else {}
        receipts, deferred = self.push(device_id, request.changes, now)
        page = self.pull(device_id, request.cursor, request.rows_max)
        if request.takes_own and request.schema_version == self.schema.schema_version:
            reached, recorded = 0 if place is None else place.seq, self.history[made:]
            page = left_out(page, request.changes, recorded, lambda key: before.get(key, 0) <= reached)
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
        if self._entered[device_id] != self.epoch:
            # What this id has spent in a past that is lost is not known here: it must not spend anything again.
            message = f"the authority was restored from a backup after {device_id} was entered: go on under another id"
            raise RemoteError("epoch_changed", message, status=409, path="device_id")
        device = replace(self.devices[device_id], replica_ids=self._replica_ids(device_id))
        keys, dots = wanted(changes, device, self.schema)
        subject = self.subjects[device_id]
        decision = self._decided(
            device,
            keys,
            dots,
            lambda snapshot: decide(
                changes,
                snapshot,
                self.schema,
                authorize=lambda entity, change: self.authorize(subject, entity, change),
                now=now,
            ),
        )
        self.failures.update(decision.failures)
        self._commit(device, changes, decision)
        return decision.receipts, decision.deferred

    def _decided(
        self,
        device: Device,
        keys: Sequence[Key],
        dots: Sequence[Dot],
        decide_on: Callable[[Snapshot], Decision | NeedMore],
    ) -> Decision:
        referrers: dict[Key, Sequence[Key]] = {}
        while True:
            decision = decide_on(self._snapshot(device, keys, dots, referrers))
            if isinstance(decision, Decision):
                return decision
            keys = [*keys, *decision.entities]
            referrers.update(self._load_referrers(decision))

    def reconcile(self, device_id: str, request: ReconcileRequest, now: int) -> ReconcileResponse:
        """Answer what a replica asks to find out where its copy differs; see `rightfit_sync.reconcile`."""
        device_id = self._writing_as(device_id, request.device_id)
        here = self._place(device_id, request.cursor)
        refused = self._take_offers(device_id, request.offers, now)
        grant = self.grants[self.subjects[device_id]]
        offered = [(one.entity.kind, one.entity.entity_id) for one in request.offers]
        asked = dict.fromkeys([*request.keys, *offered])
        rows = (self._row(key, grant) for key in asked if key in self.held)
        buckets = [bucket(prefix, self._listed(prefix, grant).values()) for prefix in request.prefixes]
        listed = {key: one for prefix in request.listings for key, one in self._listed(prefix, grant).items()}
        if here is None or not request.goes_on:
            here = Cursor(TENANT_ID, device_id, self.epoch, self.head, self._chains[self.head], grant.number)
        return ReconcileResponse(
            protocol_version=PROTOCOL_VERSION,
            epoch=self.epoch,
            kinds=sorted(self.schema.kinds),
            cursor=self._signed(here),
            tags=sorted(grant.tags),
            buckets=buckets,
            listed=[Listed(*key, one) for key, one in listed.items()],
            rows=[row for row in rows if row is not None],
            refused=refused,
        )

    def _listed(self, prefix: str, grant: Grant) -> dict[Key, str]:
        return {
            key: row_digest(held.digest, grant.tags.intersection(held.audience))
            for key, held in self.held.items()
            if place(*key).startswith(prefix) and not grant.tags.isdisjoint(held.audience)
        }

    def _take_offers(self, device_id: str, offers: Sequence[Offer], now: int) -> list[Refused]:
        refused: list[Refused] = []
        taken: list[Entity] = []
        for offer in offers:
            key = (offer.entity.kind, offer.entity.entity_id)
            if not is_genuine(offer.entity, offer.seal, _KEY, TENANT_ID):
                refused.append(Refused(*key, "seal_invalid"))
            elif offer.entity.kind not in self.schema.kinds:
                refused.append(Refused(*key, "schema_ahead"))
            elif key in self.held or key not in self._known:
                taken.append(offer.entity)
        keys = sorted({(entity.kind, entity.entity_id) for entity in taken})
        device = Device(device_id, 0)
        decision = self._decided(
            device, keys, (), lambda snapshot: take_offers(taken, snapshot, self.schema, now=now)
        )
        self.joined += decision.joined
        # Whoever gives back what is not here proves that it was lost, should nobody have noticed yet.
        self._is_restored = self._is_restored or bool(decision.joined)
        for joined in decision.joined:
            key = (joined.kind, joined.entity_id)
            self._pasts[key] = self._pasts.get(key, NO_PAST).after(joined)
        self._write(decision.entities, decision.orphans, ())
        return refused

    def _load_referrers(self, need: NeedMore) -> dict[Key, Sequence[Key]]:
        return {target: referrers(self.held, target, self.schema) for target in need.referrers}

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
            is_restored=self._is_restored,
            collected=self._known.intersection(keys).difference(self.held),
            pasts={key: self._pasts[key] for key in keys if key in self._pasts},
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
        counter = next_counter(self._authority_counter, now)
        change = author(entity, Stamp(Dot(AUTHORITY_PREFIX + self.epoch, counter), now))
        if change is None:
            return None
        after, outcome = apply(entity, change, self.schema)
        if after is None or outcome.status == "rejected":
            raise ValueError(outcome.message)
        self._authority_counter = counter
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
        self._note_past(recorded)
        self._known |= entities.keys()
        if not entities:
            return
        before = {key: self.held[key] for key in entities if key in self.held}
        nearby = {near for held in before.values() for near in reached(self.held, held.entity, self.schema)}
        for key, entity in entities.items():
            held = before.get(key, Held(0, 0, entity))
            gone = orphans.get(key, held.orphans)
            self.held[key] = replace(
                held,
                entity=entity,
                orphans=gone,
                digest=state_digest(entity, gone),
                seal=seal(entity, _KEY, TENANT_ID),
            )
            nearby |= reached(self.held, entity, self.schema)
        for one in recorded:
            # A duplicate may name a record whose tombstone was collected meanwhile.
            if one.outcome.is_accepted and (one.change.kind, one.change.entity_id) in self.held:
                self._note(one)
        moved = [key for key in sorted(nearby - set(entities)) if self._audience_has_changed(key)]
        self._number([*entities, *moved])

    def _note_past(self, recorded: Sequence[Recorded]) -> None:
        for one in recorded:
            if one.outcome.status in APPLIED:
                key = (one.change.kind, one.change.entity_id)
                self._pasts[key] = self._pasts.get(key, NO_PAST).after(one)

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
        held = self.held.get(key)
        return held is not None and audience_of(self.held, held.entity, self.schema) != list(held.audience)

    def _number(self, keys: Sequence[Key]) -> None:
        commit = self.head + len(keys)
        for key in keys:
            self.head += 1
            held = self.held[key]
            tags = audience_of(self.held, held.entity, self.schema)
            self._feed.pop(held.seq, None)
            self._feed[self.head] = key
            self.held[key] = replace(
                held, seq=self.head, commit=commit, audience=tags, ever=held.ever | {*tags}
            )
        rows = [(*key, self.held[key].digest) for key in keys]
        self._chains[commit] = chained(self._chains[next(reversed(self._chains))], commit, rows)

    def pull(self, device_id: str, cursor: str | None, rows_max: int) -> Page:
        """Return the next page; `rows_max` 0 asks for none of its rows.

        Raises `RemoteError`: `cursor_expired` (410), `epoch_changed` (409), and those of `cursor.verify`.
        """
        grant = self.grants[self.subjects[device_id]]
        place = self._place(device_id, cursor) or Cursor(
            TENANT_ID, device_id, self.epoch, 0, GENESIS, tags_seq=grant.number, floor=self.horizon
        )
        if not rows_max:
            return Page(self._signed(place), sorted(grant.tags), more=True)
        if place.is_expired(self.horizon):
            message = "tombstones are gone: compare the copy"
            raise RemoteError("cursor_expired", message, status=410, path="cursor")
        if place.tags_seq != grant.number:
            place = replace(place, tags_seq=grant.number, backfill=0)
        if place.backfill is not None:
            return self._backfill(place, grant, rows_max)
        found = [seq for seq in self._feed if seq > place.seq]
        commits = [self.held[self._feed[seq]].commit for seq in found]
        size = cut(commits, rows_max)
        size = len(commits) if size is None else size
        rows, evicted = self._rows(found[:size], grant, device_id)
        left = len(found) - size
        seq = commits[size - 1] if left else self.head
        after = replace(place, seq=seq, chain=self._chains[seq])
        return Page(self._signed(after), sorted(grant.tags), rows, evicted, more=left > 0, remaining=left)

    def _signed(self, place: Cursor) -> str:
        return sign(place.heard_of(self.head, self._chains[self.head]), _KEY)

    def _place(self, device_id: str, cursor: str | None) -> Cursor | None:
        """Return what `cursor` says, if it is one of the past that the authority remembers."""
        if cursor is None:
            return None
        ids = self._replica_ids(device_id)
        place = verify(cursor, _KEY, tenant_id=TENANT_ID, device_ids=ids)
        heard = {place.seq: place.chain} | ({place.head: place.head_chain} if place.head else {})
        is_known = place.epoch == self.epoch
        if not is_known or any(self._chains.get(seq) != chain for seq, chain in heard.items()):
            if is_known:
                # Our own signature under a commit that we do not have: a backup was put back, and nobody said so.
                self.begin_epoch(cursor)
            message = "the authority was restored from a backup: offer what it lacks"
            raise RemoteError("epoch_changed", message, status=409, path="cursor")
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
            self._signed(after),
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
        return Row(held.seq, held.entity, tags, held.orphans, held.suggestions, held.seal) if tags else None
