"""The archive of a backup: one tar file with the database, the signing keys and a manifest.

| member | holds |
|---|---|
| `manifest.json` | what it is, when it was made, of which tenants, with digests of the other members |
| `signing-keys` | the keys: with them, devices stay signed in after a restore |
| `database.dump` | the schemas of the service, in pg_dump's custom format |

It holds everything, secrets too: mode 0600. After a restore each tenant has a new epoch, so that devices
which saw more than the backup knows find out and bring it back (docs/explanation/semantics.md, section 8).
"""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rightfit_server.postgres.administration import TenantRow, list_tenants
from rightfit_server.postgres.epoch import begin_epoch
from rightfit_server.postgres.migrate import MIGRATIONS, migrate
from rightfit_sync.errors import RightFitError
from rightfit_sync.schema.spec import Schema

ARCHIVE_FORMAT: Final = 1
CHUNK_BYTES: Final = 1_048_576
MANIFEST, KEYS, DUMP = "manifest.json", "signing-keys", "database.dump"
SCHEMAS = ("app", "report", "migration")


class ArchiveError(RightFitError):
    """A backup cannot be made or read; the message says what to do."""


class Manifest(msgspec.Struct, frozen=True):
    """What an archive says of itself; `migrations` are those of the database, `sha256` by member."""

    archive_format: int
    made_at: str
    tenants: Sequence[TenantRow]
    migrations: Sequence[str]
    sha256: Mapping[str, str]


def back_up(owner_url: str, programs: str, signing_keys: str, file: Path) -> Manifest:
    """Write an archive of the database at `owner_url` to `file`; the server may go on serving.

    Raises `ArchiveError` where there is such a file, or pg_dump fails.
    """
    if file.exists():
        raise ArchiveError(f"{file} exists: choose another name, a backup is never overwritten")
    file.parent.mkdir(parents=True, exist_ok=True)
    dump = file.with_name(file.name + ".dump")
    fresh = file.with_name(file.name + ".fresh")
    try:
        for private in (dump, fresh):
            os.close(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with psycopg.connect(owner_url) as connection:
            tenants = list_tenants(connection)
        wanted = [f"--schema={name}" for name in SCHEMAS]
        _run(programs, "pg_dump", owner_url, "--format=custom", *wanted, f"--file={dump}")
        keys = signing_keys.encode("ascii")
        manifest = Manifest(
            archive_format=ARCHIVE_FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tenants=tenants,
            migrations=_known_migrations(),
            sha256={DUMP: _digest_of(dump), KEYS: hashlib.sha256(keys).hexdigest()},
        )
        with tarfile.open(fresh, "w") as archive:
            _add(archive, MANIFEST, msgspec.json.encode(manifest))
            _add(archive, KEYS, keys)
            archive.add(dump, DUMP)
        fresh.replace(file)
    finally:
        dump.unlink(missing_ok=True)
        fresh.unlink(missing_ok=True)
    return manifest


def read_manifest(file: Path) -> Manifest:
    """Return the manifest of an archive. Raises `ArchiveError` if it is none, or of a newer release."""
    try:
        with tarfile.open(file) as archive:
            manifest = msgspec.json.decode(_member(archive, MANIFEST).read(), type=Manifest)
    except (OSError, tarfile.TarError, msgspec.MsgspecError) as error:
        raise ArchiveError(f"{file} is no backup of RightFit: {error}") from error
    unknown = sorted(set(manifest.migrations) - set(_known_migrations()))
    if manifest.archive_format > ARCHIVE_FORMAT or unknown:
        raise ArchiveError(f"{file} was made by a newer release: upgrade this program first")
    return manifest


def put_back(file: Path, owner_url: str, programs: str, schema: Schema) -> tuple[Manifest, str]:
    """Restore an archive into an empty database; return its manifest and the signing keys.

    Each tenant has a new epoch afterwards. Raises `ArchiveError`, also where the database holds something
    already.
    """
    manifest = read_manifest(file)
    with psycopg.connect(owner_url) as connection:
        if connection.execute("SELECT to_regnamespace('app')").fetchone() != (None,):
            raise ArchiveError(
                "the database holds a service already: restore into a new --data-dir, or an empty database"
            )
    dump = file.with_name(file.name + ".restoring")
    try:
        os.close(os.open(dump, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with tarfile.open(file) as archive:
            keys = _member(archive, KEYS).read()
            with _member(archive, DUMP) as source, dump.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK_BYTES)
        found = {DUMP: _digest_of(dump), KEYS: hashlib.sha256(keys).hexdigest()}
        if found != dict(manifest.sha256):
            raise ArchiveError(f"{file} is damaged: its digests are wrong")
        once = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges")
        _run(programs, "pg_restore", owner_url, *once, str(dump))
    finally:
        dump.unlink(missing_ok=True)
    migrate(owner_url, schema=schema)
    with psycopg.connect(owner_url) as connection:
        for tenant in list_tenants(connection):
            begin_epoch(connection, tenant.tenant_id)
    return manifest, keys.decode("ascii")


def _run(programs: str, name: str, owner_url: str, *arguments: str) -> None:
    program = str(Path(programs) / name) if programs else name
    # Everybody on the machine can read a process's arguments.
    parts = {key: str(value) for key, value in conninfo_to_dict(owner_url).items() if value is not None}
    secret = {"PGPASSWORD": parts.pop("password")} if "password" in parts else {}
    command = [program, f"--dbname={make_conninfo(**parts)}", *arguments]
    try:
        done = subprocess.run(
            command, env={**os.environ, **secret}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ArchiveError(
            f"{name} is not installed here: it comes with PostgreSQL's client programs"
        ) from error
    if done.returncode != 0:
        raise ArchiveError(f"{name} failed: {done.stderr.strip()[-1_000:]}")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o600
    archive.addfile(member, io.BytesIO(content))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise ArchiveError(f"{archive.name!s} is no backup of RightFit: {name} is not in it")
    return found


def _digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _known_migrations() -> list[str]:
    return sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
