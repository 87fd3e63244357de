"""The history, played once for all tests, and how thorough they are.

`RIGHTFIT_CRASH=full` goes on and syncs at every crash point, and cuts, kills and lies everywhere: minutes in place of
seconds.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.crash.past import Past
from tests.crash.recording import WHOLE, build, record

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def is_full() -> bool:
    """Whether everything is to be tried that can be tried."""
    return os.environ.get("RIGHTFIT_CRASH") == "full"


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording VFS, compiled."""
    return build(tmp_path_factory.mktemp("vfs"))


@pytest.fixture(scope="session")
def log(extension: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the whole history, played with the SDK's own settings."""
    return record(extension, tmp_path_factory.mktemp("history"), WHOLE)


@pytest.fixture(scope="session")
def past(log: Path) -> Past:
    """The whole history."""
    return Past(log)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is such a place: thousands of files are written and opened there."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="rightfit-test-", dir=MEMORY) as folder:
        yield Path(folder)
