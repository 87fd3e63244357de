"""Where the entries of the outbox stand: by entity and by dot.

SQLite could keep both in indexes, and would write a page of each with every save. But one process alone writes the
file, so it remembers them instead, in some 400 bytes an entry. They are read from the entries themselves, so nothing
in the file can say otherwise than those do.

Each entry of a device id has the counter after that of the one before it. What is put so is a *run*: where one of its
entries stands follows from where the first does, whichever have left since.
"""

from collections.abc import Iterable, KeysView

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.store import Key


class _Run(msgspec.Struct):
    """Entries from position `first` to `last`, whose counters are `offset` more than their positions."""

    device_id: str
    offset: int
    first: int
    last: int


class Places:
    """The positions of all entries, those that are put off included."""

    def __init__(self) -> None:
        self._keys: dict[int, Key] = {}
        self._positions: dict[Key, list[int]] = {}
        self._runs: list[_Run] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._keys)

    def append(self, dot: Dot, key: Key) -> int:
        """Return the position of a new entry, which is behind all others."""
        return self.place(self._last + 1, dot, key)

    def place(self, position: int, dot: Dot, key: Key) -> int:
        """Remember the position of an entry, which is behind all those placed before, and return it."""
        run = self._runs[-1] if self._runs else None
        offset = dot.counter - position
        if run is None or run.offset != offset or run.device_id != dot.device_id:
            run = _Run(dot.device_id, offset, position, position)
            self._runs.append(run)
        run.last = self._last = position
        self._keys[position] = key
        self._positions.setdefault(key, []).append(position)
        return position

    def find(self, dot: Dot) -> int | None:
        """Return where the entry with `dot` stands; None where there is none."""
        for run in reversed(self._runs):
            position = dot.counter - run.offset
            if (
                run.device_id == dot.device_id
                and run.first <= position <= run.last
                and position in self._keys
            ):
                return position
        return None

    def has_any(self, keys: Iterable[Key]) -> bool:
        """Whether one of `keys` has entries."""
        return not self._positions.keys().isdisjoint(keys)

    def of(self, keys: Iterable[Key]) -> list[int]:
        """Return the positions of the entries of `keys`, in outbox order."""
        return sorted(position for key in keys for position in self._positions.get(key, ()))

    def keys(self) -> KeysView[Key]:
        """Return the entities that have entries."""
        return self._positions.keys()

    def remove(self, position: int) -> Key:
        """Forget the entry at `position`, and return its entity."""
        key = self._keys.pop(position)
        positions = self._positions[key]
        positions.remove(position)
        if not positions:
            del self._positions[key]
        if not self._keys:
            self._runs.clear()
        return key
