"""Writing: what an application asks for, as changes in the outbox, alone or several with one transaction id.

Each call is durable when it returns. `transaction()` makes its changes one whole, here and on the authority;
`batch()` commits many independent changes at once, which is faster and promises nothing more. A transaction
beyond `CHANGES_PER_TRANSACTION_MAX` (or too large to travel) is refused when it is made, and nothing of it is
kept.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rightfit_client.convert import wanted_values
from rightfit_client.errors import LocalError
from rightfit_client.ids import EntityIds
from rightfit_client.opening import OpenFile
from rightfit_client.reading import Reader
from rightfit_sync import changes
from rightfit_sync.apply import final_value
from rightfit_sync.causality.dot import Dot
from rightfit_sync.changes import Stamp
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.life import is_deleted
from rightfit_sync.limits import CHANGES_PER_TRANSACTION_MAX, PUSH_BYTES_MAX
from rightfit_sync.outbox import Shown
from rightfit_sync.records import Change, Entity, encoded
from rightfit_sync.replica import Author
from rightfit_sync.schema.spec import KindSpec
from rightfit_sync.store import Key, Rejected
from rightfit_sync.values import Value

_ENVELOPE_BYTES = 100_000


class _Transaction:
    """The changes of one transaction id, counted."""

    def __init__(self) -> None:
        self.transaction_id = uuid.uuid4().hex
        self._changes = 0
        self._bytes = 0

    def count(self, change: Change) -> None:
        """Take `change` in; raise `LocalError("transaction_too_large")` beyond the limits."""
        self._changes += 1
        self._bytes += len(encoded(change))
        if self._changes > CHANGES_PER_TRANSACTION_MAX:
            message = (
                f"a transaction has at most {CHANGES_PER_TRANSACTION_MAX} changes: split it, or use batch()"
            )
            raise LocalError("transaction_too_large", message)
        if self._bytes > PUSH_BYTES_MAX - _ENVELOPE_BYTES:
            most = PUSH_BYTES_MAX - _ENVELOPE_BYTES
            message = f"a transaction has at most {most} bytes: split it, or use batch()"
            raise LocalError("transaction_too_large", message)


class Writer:
    """Writes to one open file; `clock` gives milliseconds since 1970 UTC."""

    def __init__(self, opened: OpenFile, reader: Reader, clock: Callable[[], int]) -> None:
        self._opened = opened
        self._core = opened.core
        self._store = opened.store
        self._schema = opened.schema
        self._reader = reader
        self._clock = clock
        self._ids = EntityIds(clock)
        self._transaction: _Transaction | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Give every change inside one transaction id and one local commit; joins the one that is open."""
        self._check_writable()
        with self._store.transaction():
            if self._transaction is not None:
                yield
                return
            self._transaction = _Transaction()
            try:
                yield
            finally:
                self._transaction = None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Commit everything inside at once; each change is still accepted or rejected on its own."""
        self._check_writable()
        with self._store.transaction():
            yield

    def _check_writable(self) -> None:
        if self._opened.is_read_only:
            raise LocalError("read_only", "this replica is open for reading alone: open it without read_only")

    def write(self, key: Key, author: Author) -> Change | None:
        """Make a change; None where there was nothing to change."""
        self._check_writable()
        with self._store.transaction():
            transaction = self._transaction
            transaction_id = None if transaction is None else transaction.transaction_id
            change = self._core.write(key, author, self._clock(), transaction_id)
            if transaction is not None and change is not None:
                transaction.count(change)
            return change

    def insert(self, kind: str, entity_id: str | None, given: Mapping[str, object]) -> str:
        """Create an entity and return its id."""
        wanted = wanted_values(kind, self._kind(kind), given)
        chosen = self._ids() if entity_id is None else entity_id

        def author(shown: Shown, stamp: Stamp) -> Change:
            if shown.entity is not None:
                raise LocalError(
                    "exists", f"{kind} {chosen} exists already: update or restore it", "entity_id"
                )
            return changes.create(kind, chosen, wanted, stamp, self._schema)

        self.write((kind, chosen), author)
        return chosen

    def update(self, kind: str, entity_id: str, given: Mapping[str, object]) -> Change | None:
        """Make a living entity hold these values."""
        declared = self._kind(kind)
        wanted = wanted_values(kind, declared, given)
        return self.write(
            (kind, entity_id),
            lambda shown, stamp: changes.edit(
                _living(shown, declared, (kind, entity_id)), wanted, stamp, self._schema
            ),
        )

    def delete(self, kind: str, entity_id: str) -> Change | None:
        """Delete a living entity."""
        declared = self._kind(kind)
        return self.write(
            (kind, entity_id),
            lambda shown, stamp: changes.delete(_living(shown, declared, (kind, entity_id)), stamp),
        )

    def restore(self, kind: str, entity_id: str) -> Change | None:
        """Bring a deleted entity back."""
        declared = self._kind(kind)

        def author(shown: Shown, stamp: Stamp) -> Change:
            if shown.entity is None:
                raise LocalError("unknown_entity", f"{kind} {entity_id} is not here", "entity_id")
            if not is_deleted(shown.entity, declared):
                raise LocalError("not_deleted", f"{kind} {entity_id} is not deleted", "entity_id")
            return changes.restore(shown.entity, stamp)

        return self.write((kind, entity_id), author)

    def resolve(self, conflict: Conflict, choice: object) -> Change | None:
        """Settle a conflict that is still open as it was shown."""
        kind = self._kind(conflict.kind)
        value = self._choice(conflict, kind, choice)

        def author(shown: Shown, stamp: Stamp) -> Change:
            entity = shown.entity
            orphans = [conflict.path] if conflict.reason == "orphan" else []
            found = [] if entity is None else conflicts(entity, self._schema, orphans)
            if entity is None or conflict.conflict_id not in {one.conflict_id for one in found}:
                message = f"{conflict.path} has changed since this conflict was shown: look at it again"
                raise LocalError("conflict_changed", message, conflict.path)
            return changes.resolve(entity, conflict, value, stamp, self._schema)

        return self.write((conflict.kind, conflict.entity_id), author)

    def _choice(self, conflict: Conflict, kind: KindSpec, choice: object) -> Value:
        if conflict.reason in ("delete_edit", "removed_item"):
            return choice
        if conflict.reason == "invariant":
            return wanted_values(conflict.kind, kind, choice) if isinstance(choice, Mapping) else choice
        return wanted_values(conflict.kind, kind, {conflict.path: choice})[conflict.path]

    def retry(self, dot: Dot) -> list[Change]:
        """Make a rejected change anew on top of what is shown now, with the others of its transaction."""
        self._check_writable()
        found = self._rejected(dot)
        group = found.change.transaction_id
        if group is None:
            return self._made([self._core.retry(dot, self._clock())])
        with self.transaction():
            transaction_id = None if self._transaction is None else self._transaction.transaction_id
            fellows = [one for one in self._store.rejected() if one.change.transaction_id == group]
            return self._made(
                [self._core.retry(one.change.dot, self._clock(), transaction_id) for one in fellows]
            )

    def _made(self, made: list[Change | None]) -> list[Change]:
        return [change for change in made if change is not None]

    def edit_again(self, dot: Dot, given: Mapping[str, object]) -> Change | None:
        """Make a rejected create or edit anew with these values in place of some of its own."""
        with self.batch():
            rejected = self._rejected(dot).change
            if rejected.op not in ("create", "edit", "resolve"):
                raise LocalError("invalid_op", f"a {rejected.op} holds no values: retry or discard it")
            kind = self._kind(rejected.kind)
            wanted = {**_unfolded(rejected, kind), **wanted_values(rejected.kind, kind, given)}
            change = self.write(
                (rejected.kind, rejected.entity_id),
                lambda shown, stamp: self._again(rejected, kind, shown, wanted, stamp),
            )
            self._store.drop_rejected(dot)
            return change

    def _again(
        self, rejected: Change, kind: KindSpec, shown: Shown, wanted: Mapping[str, Value], stamp: Stamp
    ) -> Change | None:
        if shown.entity is None and rejected.op == "create":
            return changes.create(rejected.kind, rejected.entity_id, wanted, stamp, self._schema)
        entity = _living(shown, kind, (rejected.kind, rejected.entity_id))
        return changes.edit(entity, wanted, stamp, self._schema)

    def discard(self, dot: Dot) -> None:
        """Take a change off the rejected list for good."""
        self._check_writable()
        self._rejected(dot)
        self._core.discard(dot)

    def _rejected(self, dot: Dot) -> Rejected:
        found = next((one for one in self._store.rejected() if one.change.dot == dot), None)
        if found is None:
            raise LocalError("unknown_dot", f"{dot} is not in the rejected list", "dot")
        return found

    def _kind(self, name: str) -> KindSpec:
        return self._reader.table(name).kind


def _living(shown: Shown, kind: KindSpec, key: Key) -> Entity:
    entity = shown.entity
    if entity is None:
        raise LocalError("unknown_entity", f"{key[0]} {key[1]} is not here: insert it first", "entity_id")
    if is_deleted(entity, kind):
        raise LocalError("deleted", f"{key[0]} {key[1]} is deleted: restore it first", "entity_id")
    return entity


def _unfolded(change: Change, kind: KindSpec) -> dict[str, Value]:
    """Return the values that a change wanted, a group's members beside the other fields."""
    wanted: dict[str, Value] = {}
    for path, patch in change.patches.items():
        value = final_value(patch)
        if path in kind.groups and isinstance(value, Mapping):
            wanted.update({str(member): inner for member, inner in value.items()})
        else:
            wanted[path] = value
    return wanted
