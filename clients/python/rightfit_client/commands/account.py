"""`init`, `login`, `wipe`: whose replica it is, and where its authority is."""

from pathlib import Path

import msgspec
import rich_click as click

from rightfit_client.claims import Claims, read_claims
from rightfit_client.commands.options import answer, command, keep_token, token_file, writing
from rightfit_client.credentials import Credentials
from rightfit_client.replica import Replica
from rightfit_client.transport import HttpRequest, HttpTransport
from rightfit_sync.schema.spec import Schema

_token = click.option(
    "--token",
    envvar="RIGHTFIT_TOKEN",
    prompt=True,
    hide_input=True,
    help="The device's token, from `rightfit device`; asked for where it is not given.",
)


@click.command()
@click.option("--url", required=True, envvar="RIGHTFIT_URL", show_envvar=True, help="Where the authority is.")
@_token
@click.option(
    "--schema",
    "schema_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The schema as JSON; without it the authority is asked.",
)
@command
def init(path: Path, as_json: bool, url: str, token: str, schema_file: Path | None) -> None:
    """Make a replica for the device that the token names."""
    if path.exists():
        raise click.UsageError(f"{path} is there already: use `login` for a new token, or another --file")
    schema = fetch_schema(url, token) if schema_file is None else read_schema(schema_file)
    with Replica.open(path, schema=schema, url=url, token=token) as replica:
        status = replica.status()
    keep_token(path, token)
    words = f"{path} is the replica of {status.subject} on device {status.device_id}"
    answer(status, as_json, lambda console: console.print(f"{words}: fill it with `rightfit replica sync`"))


def fetch_schema(url: str, token: str) -> Schema:
    """Return the schema that the authority serves."""

    def anybody(_claims: Claims) -> None:
        """There is no replica yet that the token could be foreign to."""

    transport = HttpTransport(url, Credentials(token, anybody))
    try:
        return msgspec.json.decode(transport.fetch(HttpRequest("GET", "/v1/schema")), type=Schema)
    finally:
        transport.close()


def read_schema(path: Path) -> Schema:
    """Return the schema in a file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Schema)
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"{path} holds no schema: {error}") from error


@click.command()
@_token
@click.option("--url", help="Where the authority is now, if it has moved.")
@click.option("--upgrade-schema", is_flag=True, help="Take over the authority's newer schema.")
@command
def login(path: Path, as_json: bool, token: str, url: str | None, upgrade_schema: bool) -> None:
    """Use a new token; it must be for the same subject and device."""
    if not path.exists():
        raise click.UsageError(f"there is no replica at {path}: make it with `rightfit replica init`")
    with Replica.open(path, token=token, url=url) as replica:
        status, known = replica.status(), replica.url
    keep_token(path, token)
    if upgrade_schema and known is not None:
        with Replica.open(path, token=token, schema=fetch_schema(known, token)) as replica:
            status = replica.status()
    words = f"Welcome back, {status.subject}: {status.pending} edits wait to be sent"
    answer(status, as_json, lambda console: console.print(words))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--discard-pending", is_flag=True, help="Even though edits are lost that nobody else has.")
@command
def wipe(path: Path, as_json: bool, yes: bool, discard_pending: bool) -> None:
    """Remove the replica and its token from this device."""
    subject = read_claims(kept).subject if (kept := _kept(path)) else "this device"
    if not yes:
        click.confirm(f"Remove {path}, the replica of {subject}?", abort=True)
    with writing(path) as replica:
        replica.wipe(discard_pending=discard_pending)
    answer({"wiped": str(path)}, as_json, lambda console: console.print(f"{path} is gone"))


def _kept(path: Path) -> str | None:
    kept = token_file(path)
    return kept.read_text().strip() if kept.exists() else None
