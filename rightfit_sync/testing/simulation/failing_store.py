"""`FailingStore`: a store in memory whose disk fills up, or whose process dies, at a chosen write or commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rightfit_sync.store import Key, ReplicaState
from rightfit_sync.testing.memory import MemoryStore
from rightfit_sync.testing.simulation.ports import CrashError, DiskFullError, Failure


class FailingStore(MemoryStore):
    """Fails once, as its `failure` says; an exception inside a transaction takes all of it back.

    `rotten` are rows that are not what was written: a checksum would tell.
    """

    def __init__(self, state: ReplicaState, failure: Failure | None = None) -> None:
        super().__init__(state)
        self.failure = failure
        self.rotten: frozenset[Key] = frozenset()

    @classmethod
    def holding(cls, store: "FailingStore") -> "FailingStore":
        """Return a store that holds what `store` holds, on its own from here."""
        twin = cls(store.state())
        vars(twin).update(vars(store.copy()), rotten=store.rotten)
        return twin

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction, or join the one that is open; perhaps die at its end."""
        is_outermost = self._undo is None
        with super().transaction():
            yield
            if is_outermost:
                self._count("before_commit")
        if is_outermost:
            self._count("after_commit")

    def _journal(self, undo: Callable[[], None]) -> None:
        super()._journal(undo)
        if self._undo is not None:
            self._count("crash")
            self._count("full")

    def _count(self, how: str) -> None:
        if self.failure is None or self.failure.how != how:
            return
        if self.failure.after > 0:
            self.failure = Failure(how, self.failure.after - 1)
            return
        self.failure = None
        raise DiskFullError("no space left on device") if how == "full" else CrashError(how)
