"""The store on SQLite keeps what the protocol promises, in a file that is opened again after a crash."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightfit_sync.store import Store
from rightfit_sync.testing.conformance import FIRST_STATE, SCHEMA, StoreSuite

opening = pytest.importorskip("rightfit_client.opening", reason="the client extra is not installed")


class TestSqliteStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "replica.db"
        self.opened = opening.open_file(self.path, SCHEMA, lambda: FIRST_STATE, upgrade=None)
        yield
        self.opened.close()

    @pytest.fixture
    def store(self, file: None) -> Store:
        found: Store = self.opened.store
        return found

    def reopened(self, store: Store) -> Store:
        """The connection is closed without a word, as a crash would; nothing was left for later."""
        self.opened.close()
        self.opened = opening.open_file(self.path, SCHEMA, lambda: FIRST_STATE, upgrade=None)
        found: Store = self.opened.store
        return found
