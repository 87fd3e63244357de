"""What every test has: Hypothesis profiles, no network, and the servers for those that ask.

The core's tests run with pytest and Hypothesis alone, so whatever needs more is imported where it is used.
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from rightfit_server.embedded.postgres import EmbeddedPostgres

CHECKOUT = Path(__file__).parent.parent
LOOPBACK = ["127.0.0.1", "::1"]
LOOPBACK_SUFFIXES = ("_pg", "_http")

# `dev` looks elsewhere in each run; `ci` repeats itself, so that only a change can turn it red. `explore` is
# for a quiet night: what it finds becomes a file in tests/regressions.
settings.register_profile("dev", max_examples=100, deadline=None)
settings.register_profile(
    "ci", max_examples=1_000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", max_examples=20_000, deadline=None)
# Replicas keep no markers outside of the tests' own folders: those that test them say where.
os.environ["RIGHTFIT_MARKERS"] = "none"

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(autouse=True)
def _network(request: pytest.FixtureRequest) -> None:
    """Open nothing but loopback in files named `test_*_pg.py` and `test_*_http.py`, and nothing elsewhere."""
    if importlib.util.find_spec("pytest_socket") is None:
        return
    import pytest_socket  # noqa: PLC0415 - absent where the core is tested alone.

    if request.path.stem.endswith(LOOPBACK_SUFFIXES):
        pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)
    else:
        pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of tests marked `anyio`."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real records and traces, for tests that replay them; they skip where it is absent."""
    folder = Path(os.environ.get("RIGHTFIT_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real records in {folder}: set RIGHTFIT_SHARED to the folder that holds `data`")
    return folder


@pytest.fixture
def reachable_directory() -> Iterator[Path]:
    """A folder that other accounts can reach, as an embedded server needs under root; pytest's are closed."""
    folder = Path(tempfile.mkdtemp(prefix="rightfit-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[EmbeddedPostgres]":
    """One PostgreSQL for the session, quick rather than durable; a test makes a database of its own in it.

    `RIGHTFIT_TEST_POSTGRES` names a folder of other programs, such as /usr/lib/postgresql/15/bin.
    """
    from rightfit_server.embedded.postgres import start_postgres  # noqa: PLC0415 - as above.

    chosen = os.environ.get("RIGHTFIT_TEST_POSTGRES")
    folder = Path(tempfile.mkdtemp(prefix="rightfit-test-"))
    folder.chmod(0o755)
    with start_postgres(
        folder / "postgres", durable=False, programs=Path(chosen) if chosen else None
    ) as server:
        yield server
    shutil.rmtree(folder)
