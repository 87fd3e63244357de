"""The data directory of `rightfit up`: what survives restarts, and who may look.

| name | holds |
|---|---|
| `format.json` | the number of this layout; a greater one than ours is refused, a smaller one upgraded |
| `signing-keys` | `name=hex,...` as in the settings, mode 0600; made once |
| `postgres/`, `valkey/` | the embedded servers' data |
| `running.json` | while `rightfit up` runs: its process and where everything answers; mode 0600 |

The database inside is upgraded by its migrations; data of another major version of PostgreSQL is refused by
`embedded.postgres`, which says how to carry it over.
"""

import os
from pathlib import Path
from secrets import token_hex
from typing import Final

import msgspec
import psutil

from rightfit_sync.errors import RightFitError

DATA_FORMAT: Final = 1
KEY_BYTES: Final = 32


class DataDirectoryError(RightFitError):
    """The directory cannot be used; the message says why and what to do."""


class _Mark(msgspec.Struct, frozen=True):
    data_format: int


class Running(msgspec.Struct, frozen=True):
    """A running `rightfit up`: its process (with the time it began, since numbers return) and its URLs."""

    process_id: int
    started_at: float
    url: str
    database_owner_url: str
    programs: str = ""


class DataDirectory:
    """An open data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def postgres(self) -> Path:
        """Where the embedded PostgreSQL keeps its data."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Where the embedded Valkey keeps its data."""
        return self.path / "valkey"

    def signing_keys(self) -> str:
        """Return the signing keys. Raises `DataDirectoryError` where they are not kept here."""
        try:
            return (self.path / "signing-keys").read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            message = f"{self.path} holds no signing keys: name those of the server, RIGHTFIT_SIGNING_KEYS"
            raise DataDirectoryError(message) from error

    def made_signing_keys(self) -> str:
        """Return the signing keys, made at the first call."""
        if not (self.path / "signing-keys").exists():
            self.put_signing_keys(f"k{token_hex(4)}={token_hex(KEY_BYTES)}")
        return self.signing_keys()

    def put_signing_keys(self, keys: str) -> None:
        """Keep these signing keys from now on."""
        _write_privately(self.path / "signing-keys", keys.encode("ascii") + b"\n")

    def running(self) -> Running | None:
        """Return the `rightfit up` that runs on this directory, or None."""
        try:
            found = msgspec.json.decode((self.path / "running.json").read_bytes(), type=Running)
        except FileNotFoundError:
            return None
        try:
            started_at = psutil.Process(found.process_id).create_time()
        except psutil.NoSuchProcess:
            return None
        return found if started_at == found.started_at else None

    def note_running(self, url: str, database_owner_url: str, programs: str) -> None:
        """Note that this process serves the directory at `url`."""
        process = psutil.Process()
        mark = Running(process.pid, process.create_time(), url, database_owner_url, programs)
        _write_privately(self.path / "running.json", msgspec.json.encode(mark))

    def forget_running(self) -> None:
        """Note that nobody serves the directory."""
        (self.path / "running.json").unlink(missing_ok=True)


def default_path() -> Path:
    """Return the directory that is used where none is named."""
    if os.geteuid() == 0:
        # PostgreSQL does not run as root, and its account must be able to get there.
        return Path("/var/lib/rightfit")
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(home) / "rightfit"


def find_data_directory(path: Path) -> DataDirectory:
    """Open the data directory at `path`.

    Raises `DataDirectoryError` where there is none, or one of a newer release.
    """
    if not (path.expanduser() / "format.json").exists():
        raise DataDirectoryError(f"there is no data in {path}: start `rightfit up`, or name --data-dir")
    return open_data_directory(path)


def open_data_directory(path: Path) -> DataDirectory:
    """Open the data directory at `path`, or make it.

    Raises `DataDirectoryError` where it holds something else, or is of a newer release.
    """
    path = path.expanduser().resolve()
    mark = path / "format.json"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not mark.exists():
            if any(path.iterdir()):
                raise DataDirectoryError(f"{path} holds something else: choose an empty directory")
            _write_privately(mark, msgspec.json.encode(_Mark(DATA_FORMAT)))
        found = msgspec.json.decode(mark.read_bytes(), type=_Mark)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be used: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise DataDirectoryError(f"{mark} is damaged: restore a backup into a new directory") from error
    if found.data_format > DATA_FORMAT:
        raise DataDirectoryError(
            f"{path} was made by a newer release (format {found.data_format}, this one knows {DATA_FORMAT}):"
            " upgrade this program, or restore a backup into a new directory"
        )
    return DataDirectory(path)


def _write_privately(file: Path, content: bytes) -> None:
    """Replace `file` in one step; only its owner may read it."""
    fresh = file.with_name(file.name + ".fresh")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
