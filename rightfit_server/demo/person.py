"""A person with a device: each change goes into the journal, with what the screen shows, then to the SDK."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rightfit_server.demo.accounts import LIFE
from rightfit_server.demo.evidence import Key, ReplicaEvidence, replica_evidence, screen
from rightfit_server.demo.journal import Journal
from rightfit_server.demo.link import Link
from rightfit_server.domain.hpd.record import entity_id as made_id
from rightfit_server.ports.replica import ReplicaPort
from rightfit_sync.conflicts import Conflict
from rightfit_sync.schema.spec import Schema
from rightfit_sync.values import Value


class Person:
    """`name` is the subject's id, `title` what the story calls them, `tags` what lets them see records."""

    def __init__(
        self,
        name: str,
        title: str,
        tags: frozenset[str],
        replica: ReplicaPort,
        path: Path,
        schema: Schema,
        link: Link,
    ) -> None:
        self.name = name
        self.title = title
        self.tags = tags
        self.replica = replica
        self.link = link
        self._path = path
        self._schema = schema
        self._journal = Journal(self.journal_path)
        self._made = self._journal.number

    @property
    def journal_path(self) -> Path:
        """Where this person's journal is."""
        return self._path.with_suffix(".journal")

    def evidence(self) -> ReplicaEvidence:
        """Return what the replica's file holds, once the device is put away."""
        return replica_evidence(self._path, self._schema)

    def screen(self, key: Key) -> dict[str, Value]:
        """Return what the screen shows of one record."""
        kind, entity_id = key
        query = f'SELECT * FROM "{kind}" WHERE entity_id = ?'  # noqa: S608 - a name of our own schema.
        rows = self.replica.select(query, (entity_id,))
        return screen(rows[0], self._schema.kinds[kind]) if rows else {}

    def count(self, kind: str) -> int:
        """Return how many records of a kind the replica shows."""
        return len(self.replica.select(f'SELECT 1 FROM "{kind}"'))  # noqa: S608 - as above.

    def insert(self, kind: str, values: Mapping[str, Value], name: str | None = None) -> Key:
        """Make a record."""
        self._made += 1
        made = name or made_id(kind, self.name, str(self._made))
        with self._journal.writing(self.name, "create", kind, made, wrote=values):
            self.replica.insert(kind, values, entity_id=made)
        return kind, made

    def update(self, key: Key, **values: Value) -> None:
        """Edit a record; containers are given whole."""
        with self._journal.writing(self.name, "edit", *key, wrote=values, saw=self.screen(key)):
            self.replica.update(*key, values)

    def delete(self, key: Key) -> None:
        """Delete a record."""
        with self._journal.writing(self.name, "delete", *key, saw=self.screen(key)):
            self.replica.delete(*key)

    def resolve(self, conflict: Conflict, choice: Value) -> None:
        """Settle a conflict."""
        key = (conflict.kind, conflict.entity_id)
        saw = self.screen(key)
        field, _, rest = conflict.path.partition("/")
        choices = [sibling.value for sibling in conflict.siblings]
        wrote: Mapping[str, Value] = {field: choice}
        if rest:
            # The journal knows whole fields, as a screen shows them.
            choices = [with_element(saw.get(field), rest.split("/"), one) for one in choices]
            wrote = {field: with_element(saw.get(field), rest.split("/"), choice)}
        elif field in self._schema.kinds[conflict.kind].groups and isinstance(choice, Mapping):
            wrote = choice
        path = LIFE if conflict.reason == "delete_edit" else conflict.path
        with self._journal.writing(
            self.name, "resolve", *key, wrote=wrote, saw=saw, path=path, choices=choices
        ):
            self.replica.resolve(conflict, choice)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make the changes of a block durable at once, each accepted or rejected on its own."""
        with self._journal.together(), self.replica.batch():
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the changes of a block one whole."""
        with self._journal.together(), self.replica.transaction():
            yield

    def sync(self) -> None:
        """Sync once."""
        self.replica.sync()

    def close(self) -> None:
        """Put the device away."""
        self.replica.close()
        self._journal.close()


def with_element(container: Value, keys: Sequence[str], value: Value) -> Value:
    """Return a map or keyed list as it shows when the element at `keys` has `value`."""
    if not keys:
        return value
    key, *inner = keys
    if isinstance(container, list | tuple):
        return [with_element(one, inner, value) if _has_id(one, key) else one for one in container]
    before = container if isinstance(container, Mapping) else {}
    return {**before, key: with_element(before.get(key), inner, value)}


def _has_id(item: Value, name: str) -> bool:
    return isinstance(item, Mapping) and item.get("id") == name
