"""An embedded PostgreSQL.

Inside the block of `start_postgres` the server answers at `url`; afterwards it has shut down cleanly. What
was committed survives, also a kill -9 of the server or of our process. A directory made by another major
version is refused. Server processes are as in `process.py`, the account as in `account.py`.
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec
import psycopg
from psycopg import sql

from rightfit_server.embedded import wheels
from rightfit_server.embedded.account import Account, hand_over, reachable_programs, server_account
from rightfit_server.embedded.errors import EmbeddedError
from rightfit_server.embedded.process import end_leftovers, environment, owned, running, socket_folder

MAJOR_MIN = 15
SUPERUSER = "postgres"

_SOCKET_NAME = ".s.PGSQL.5432"
_BUILTIN_LOCALE_MAJOR_MIN = 17
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(msgspec.Struct, frozen=True):
    """A running PostgreSQL: where it answers, which process it is, where its programs (pg_dump, …) lie."""

    url: str
    socket_dir: Path
    process_id: int
    programs: Path

    def url_for(self, database: str, user: str = SUPERUSER) -> str:
        """Return the URL of another database, or of the same one for another role."""
        return _url(self.socket_dir, database, user)


@contextlib.contextmanager
def start_postgres(
    directory: Path,
    *,
    database: str = "rightfit",
    programs: Path | None = None,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL on `directory` until the block ends; create the cluster and `database` where absent.

    Args:
        directory: Kept by this package alone; made if absent.
        database: Made if absent; `url` leads to it, as the superuser `postgres`.
        programs: Folder of `postgres` and `initdb`, by default the wheel's; Debian's are in
            /usr/lib/postgresql/15/bin.
        durable: False gives up surviving a power cut for speed: for tests only.
        settings: PostgreSQL settings, name to value, over the defaults.

    Raises:
        EmbeddedError: The wheel is missing; the directory is in use, out of reach or of another major
            version; or the server does not come up.
    """
    source = programs or wheels.postgres_programs()
    server_version = _version(source)
    with owned(directory) as home, socket_folder(home, _SOCKET_NAME) as socket_dir:
        data = home / "data"
        _check_major(data, server_version)
        account = server_account(data)
        folder = reachable_programs(source, home, account, wheels.installation(source))
        marks = (data / "postmaster.pid", socket_dir / _SOCKET_NAME, socket_dir / f"{_SOCKET_NAME}.lock")
        end_leftovers("postgres", data, marks, signal.SIGINT)
        hand_over(data, account)
        hand_over(socket_dir, account)
        if not (data / "PG_VERSION").exists():
            _init_cluster(folder, data, account, server_version)
        chosen = {
            "listen_addresses": "",
            "unix_socket_directories": str(socket_dir),
            "log_checkpoints": "off",
            "timezone": "UTC",
            **({} if durable else _FORGETFUL),
            **(settings or {}),
        }
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        command = [str(folder / "postgres"), "-D", str(data), *options]
        fast_then_immediate = (signal.SIGINT, signal.SIGQUIT)
        with running(
            command, home, account, is_ready=lambda pid: _is_ready(data, pid), ends=fast_then_immediate
        ) as process_id:
            _ensure_database(socket_dir, database)
            yield EmbeddedPostgres(
                url=_url(socket_dir, database, SUPERUSER),
                socket_dir=socket_dir,
                process_id=process_id,
                programs=folder,
            )


def _version(programs: Path) -> str:
    """Return the version of the programs, such as `18.6`."""
    try:
        shown = subprocess.run(
            [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedError(f"{programs} holds no PostgreSQL server that runs here: {error}") from error
    return shown.split()[2]


def _major(server_version: str) -> int:
    return int(server_version.partition(".")[0])


def _check_major(data: Path, server_version: str) -> None:
    """Refuse programs that are too old, and data of another major version: PostgreSQL reads only its own."""
    major = _major(server_version)
    if major < MAJOR_MIN:
        raise EmbeddedError(
            f"PostgreSQL {server_version} is older than {MAJOR_MIN}, the oldest that works here"
        )
    mark = data / "PG_VERSION"
    made_by = mark.read_text().strip() if mark.exists() else str(major)
    if made_by != str(major):
        raise EmbeddedError(
            f"{data} was made by PostgreSQL {made_by}, and this is PostgreSQL {major}, which cannot read it: "
            f"run `rightfit backup` with the release that brought PostgreSQL {made_by}, "
            "then `rightfit restore` into a new directory with this one"
        )


def _init_cluster(programs: Path, data: Path, account: Account, server_version: str) -> None:
    """Create a cluster that sorts alike on every system."""
    locale = ["--locale=C"]
    if _major(server_version) >= _BUILTIN_LOCALE_MAJOR_MIN:
        # Upper and lower case of all of Unicode, without a library of the system's.
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = subprocess.run(
        [programs / "initdb", "-D", data, "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", *locale],
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
        env=environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise EmbeddedError(f"initdb failed on {data}: {made.stderr.strip() or made.stdout.strip()}")


def _is_ready(data: Path, process_id: int) -> bool:
    """Read what pg_ctl reads: the first line of postmaster.pid is the process, the eighth its state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(process_id) and lines[7].strip() == "ready"


def _url(socket_dir: Path, database: str, user: str) -> str:
    return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={quote(str(socket_dir))}"


def _ensure_database(socket_dir: Path, database: str) -> None:
    with psycopg.connect(_url(socket_dir, "postgres", SUPERUSER), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
