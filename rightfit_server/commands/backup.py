"""`rightfit backup` and `rightfit restore`: everything in one file, and back."""

from pathlib import Path

import rich_click as click

from rightfit_server.archive import Manifest, back_up, put_back, read_manifest
from rightfit_server.bootstrap import load_application
from rightfit_server.commands.options import data_dir_option, json_option, owner_url_option
from rightfit_server.commands.outcome import console, explained, put_json
from rightfit_server.data_directory import DataDirectoryError, open_data_directory
from rightfit_server.operations.database import open_database
from rightfit_server.settings import read_settings


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
@owner_url_option
@json_option
@explained
def backup(*, file: Path, data_dir: Path, database_owner_url: str | None, as_json: bool) -> None:
    """Write the database and the signing keys to one file; the server may run meanwhile.

    The file holds secrets (the keys) and everybody's records: only its owner may read it.
    """
    with open_database(data_dir, database_owner_url, migrated=False) as database:
        keys = read_settings().signing_keys or database.directory.signing_keys()
        manifest = back_up(database.owner_url, database.programs, keys, file)
    _tell(manifest, file, "is written", as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_dir_option
@owner_url_option
@json_option
@explained
def restore(*, file: Path, data_dir: Path, database_owner_url: str | None, as_json: bool) -> None:
    """Put a backup back, into a new data directory or an empty database.

    Each tenant gets a new epoch: devices that saw more than the backup knows find out, and keep what they
    have.
    """
    read_manifest(file)
    if open_data_directory(data_dir).running() is not None:
        raise DataDirectoryError(f"`rightfit up` runs on {data_dir}: restore into a new --data-dir")
    schema = load_application(read_settings().application).schema
    with open_database(data_dir, database_owner_url, migrated=False) as database:
        manifest, keys = put_back(file, database.owner_url, database.programs, schema)
        database.directory.put_signing_keys(keys)
    _tell(manifest, file, "is restored", as_json=as_json)


def _tell(manifest: Manifest, file: Path, what: str, *, as_json: bool) -> None:
    if as_json:
        put_json({"file": str(file), "manifest": manifest})
        return
    tenants = ", ".join(tenant.tenant_id for tenant in manifest.tenants) or "no tenant"
    console().print(f"{file} {what}: {tenants}, as of {manifest.made_at}", soft_wrap=True)
