"""The store in memory keeps what the protocol promises."""

import pytest

from rightfit_sync.store import Store
from rightfit_sync.testing.conformance import FIRST_STATE, StoreSuite
from rightfit_sync.testing.memory import MemoryStore


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(FIRST_STATE)

    def reopened(self, store: Store) -> Store:
        """A backup holds the same, and goes its own way."""
        assert isinstance(store, MemoryStore)
        return store.copy()


def test_a_copy_goes_its_own_way() -> None:
    store = MemoryStore(FIRST_STATE)
    twin = store.copy()
    StoreSuite._fill(twin)
    assert not list(store.pending())
    assert store.state() == FIRST_STATE
