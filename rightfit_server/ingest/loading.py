"""What a push needs to see, loaded in as few queries as it takes, as the snapshot that `decide` asks for.

Everything named by the push is read at once. What its consequences reach is foreseen where that is
possible (what refers to a record that is deleted, and so on along cascades); where it is not, `decide`
names it.
"""

from collections.abc import Collection, Mapping, Sequence

from rightfit_server.ingest.shape import storable_dots, storable_keys
from rightfit_server.ports.storage import IngestTransaction, Pusher, StoredEntity
from rightfit_sync.causality.dot import AUTHORITY_PREFIX, Dot, is_authority
from rightfit_sync.ingest.snapshot import Key, NeedMore, Past, Pushed, Receipt, Snapshot, said, wanted
from rightfit_sync.records import Alias, Entity
from rightfit_sync.references import references
from rightfit_sync.schema.spec import Schema

_LIFE_OPS = frozenset({"delete", "restore", "resolve"})


class Loaded:
    """The growing snapshot of one push; `collected` are those that it would bring back from their graves."""

    def __init__(
        self, transaction: IngestTransaction, schema: Schema, pusher: Pusher, push: Sequence[Pushed]
    ) -> None:
        self._transaction = transaction
        self._schema = schema
        self._pusher = pusher
        self._push = push
        self._looked_for: set[Key] = set()
        # An edit of a record that was collected is answered like one of a record that never was.
        self._born = {(one.change.kind, one.change.entity_id) for one in push if one.change.op == "create"}
        self._receipts: Mapping[Dot, Receipt] = {}
        self._aliases: Mapping[Alias, Receipt] = {}
        self._pasts: dict[Key, Past] = {}
        self._referrers: dict[Key, list[Key]] = {}
        self._referred = {one.kind for kind in schema.kinds.values() for one in kind.references.values()}
        self.stored: dict[Key, StoredEntity] = {}
        self.collected: set[Key] = set()

    async def begin(self) -> None:
        """Load what the push names."""
        keys, dots = wanted(self._push, self._pusher.device, self._schema)
        storable = self._fresh(keys)
        self._receipts, self._aliases, stored = await self._transaction.named(
            self._pusher.device, storable_dots(dots), said(self._push), storable
        )
        await self._take_in(storable, stored)
        restored = [
            (one.change.kind, one.change.entity_id) for one in self._push if one.change.op == "restore"
        ]
        await self._load_pasts([key for key in restored if key in self.stored])
        ending = {(one.change.kind, one.change.entity_id) for one in self._push if one.change.op in _LIFE_OPS}
        await self._load_referrers([key for key in sorted(ending) if key in self.stored])

    async def begin_joining(self, offered: Sequence[Entity]) -> None:
        """Load what offered states name, what that names in turn, and who refers to it."""
        keys = {(entity.kind, entity.entity_id) for entity in offered}
        self._born = keys
        named = {target for entity in offered for target in self._targets(entity)}
        await self._load(keys | named)
        present = [self.stored[key].entity for key in keys if key in self.stored]
        await self._load({target for entity in present for target in self._targets(entity)})
        await self._load_referrers(sorted(keys), is_deleting=False)
        await self._load_pasts([key for key in sorted(keys) if key in self.stored])

    async def _load_pasts(self, keys: Collection[Key]) -> None:
        if keys:
            self._pasts = await self._transaction.pasts(keys)

    def _targets(self, entity: Entity) -> set[Key]:
        return {(one.kind, one.entity_id) for one in references(entity, self._schema)}

    async def add(self, need: NeedMore) -> None:
        """Load what `decide` found missing."""
        await self._load(need.entities)
        await self._load_referrers(need.referrers)

    async def _load(self, keys: Collection[Key]) -> None:
        storable = self._fresh(keys)
        if storable:
            await self._take_in(storable, await self._transaction.lock(storable))

    def _fresh(self, keys: Collection[Key]) -> Sequence[Key]:
        """Return those of `keys` that are still to be looked for, and may be there."""
        fresh = [key for key in keys if key not in self._looked_for]
        self._looked_for.update(fresh)
        return storable_keys(fresh)

    async def _take_in(self, asked: Sequence[Key], found: Mapping[Key, StoredEntity]) -> None:
        self.stored.update(found)
        born = [key for key in asked if key in self._born and key not in self.stored]
        if born and self._pusher.viewer.position.purge_horizon:
            self.collected |= await self._transaction.collected(born)

    async def _load_referrers(self, targets: Collection[Key], *, is_deleting: bool = True) -> None:
        """Load who refers to `targets`, and, where a delete would cascade, who refers to those."""
        wave = [key for key in targets if key[0] in self._referred and key not in self._referrers]
        self._referrers.update({key: [] for key in targets if key not in self._referrers})
        while wave:
            found = await self._transaction.holders(wave)
            self._referrers.update(found)
            holders = sorted({holder for queue in found.values() for holder in queue})
            await self._load(holders)
            beyond = holders if is_deleting else ()
            wave = [holder for holder in beyond if self._cascades(holder) and holder not in self._referrers]
            self._referrers.update({key: [] for key in wave})

    def _cascades(self, holder: Key) -> bool:
        spec = self._schema.kinds.get(holder[0])
        cascading = spec is not None and any(one.on_delete == "cascade" for one in spec.references.values())
        return cascading and holder[0] in self._referred

    def snapshot(self) -> Snapshot:
        """Return everything loaded so far."""
        device, position = self._pusher.device, self._pusher.viewer.position
        # The authority pushes a resolution under its own name: what follows from that is numbered after it.
        spent = max(
            (one.change.dot.counter for one in self._push if is_authority(device.device_id)), default=0
        )
        return Snapshot(
            device=device,
            authority_device_id=AUTHORITY_PREFIX + position.epoch,
            authority_counter=max(position.authority_counter, spent),
            entities={
                **dict.fromkeys(self._looked_for),
                **{key: stored.entity for key, stored in self.stored.items()},
            },
            receipts=self._receipts,
            aliases=self._aliases,
            referrers=self._referrers,
            orphans={key: stored.orphans for key, stored in self.stored.items()},
            is_restored=position.is_restored,
            collected=frozenset(self.collected),
            pasts=self._pasts,
        )
