"""Where a command finds the database: at a URL, in a running `rightfit up`, or in the data directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rightfit_server.data_directory import DataDirectory, find_data_directory
from rightfit_server.postgres.migrate import migrate
from rightfit_server.settings import PREFIX, read_settings
from rightfit_server.settings import signing_keys as parsed_keys
from rightfit_sync.errors import LocalError


class Database(msgspec.Struct, frozen=True):
    """An open database, reached as its owner.

    `programs` is the folder of PostgreSQL's programs; where it is empty, those on the path are used.
    """

    owner_url: str
    programs: str
    directory: DataDirectory

    def signing_keys(self) -> dict[str, bytes]:
        """Return the keys that tokens are signed with."""
        return parsed_keys(read_settings().signing_keys or self.directory.signing_keys())


@contextmanager
def open_database(data_dir: Path, owner_url: str | None, *, migrated: bool = True) -> Iterator[Database]:
    """Open the database, starting the embedded PostgreSQL for as long as it takes where nothing runs yet."""
    url = owner_url or read_settings().database_owner_url
    if url:
        yield Database(url, "", DataDirectory(data_dir.expanduser()))
        return
    directory = find_data_directory(data_dir)
    running = directory.running()
    if running is not None:
        yield Database(running.database_owner_url, running.programs, directory)
    else:
        # Only who wants an embedded server needs its package.
        from rightfit_server.embedded.postgres import start_postgres  # noqa: PLC0415

        with start_postgres(directory.postgres) as postgres:
            if migrated:
                migrate(postgres.url)
            yield Database(postgres.url, str(postgres.programs), directory)


def server_url(data_dir: Path, url: str | None) -> str:
    """Return where the API answers: `url`, or that of the `rightfit up` that runs on the directory."""
    found = url or os.environ.get(f"{PREFIX}URL")
    if found:
        return found
    running = find_data_directory(data_dir).running()
    if running is None:
        raise LocalError(
            "not_running", f"nothing serves {data_dir}: start `rightfit up`, or name it with --url"
        )
    return running.url
