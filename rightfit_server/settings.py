"""Settings: every knob of the server, with its environment name, its flag and one line of documentation.

A field `database_url` is read from `RIGHTFIT_DATABASE_URL`, and the command line offers it as
`--database-url`. Documentation and command line are generated from `settings_table`, so that neither can
disagree with the code. Precedence: flag, environment, default. Seconds, bytes and counts carry their unit
in the name.
"""

import os
from collections.abc import Mapping
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta

from rightfit_sync.errors import RightFitError

PREFIX = "RIGHTFIT_"


class SettingsError(RightFitError, ValueError):
    """A setting is missing or not what it should be; the message names it and the way out."""


def _says(
    documentation: str, *, is_secret: bool = False, ge: float | None = None, le: float | None = None
) -> Meta:
    return Meta(description=documentation, extra={"secret": is_secret}, ge=ge, le=le)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the server."""

    database_url: Annotated[
        str, _says("PostgreSQL for the service, as its login role, which owns nothing.", is_secret=True)
    ] = ""
    database_owner_url: Annotated[
        str, _says("PostgreSQL for migrations and for making tenants, as the owner.", is_secret=True)
    ] = ""
    redis_url: Annotated[
        str,
        _says("Redis or Valkey, for what may be lost; `rightfit up` brings one if empty.", is_secret=True),
    ] = ""
    application: Annotated[str, _says("The application to serve, as `package.module:NAME`.")] = (
        "rightfit_server.domain:APPLICATION"
    )
    signing_keys: Annotated[
        str,
        _says(
            "Keys of tokens and cursors, `name=hex,name=hex`, the first one signs, all verify.",
            is_secret=True,
        ),
    ] = ""
    token_seconds: Annotated[int, _says("How long a device token is valid.", ge=60)] = 30 * 24 * 3600
    host: Annotated[str, _says("Address that the API listens on.")] = "127.0.0.1"
    port: Annotated[int, _says("Port of the API; 0 takes a free one.", ge=0, le=65535)] = 8787
    pool_connections_min: Annotated[int, _says("Database connections kept open.", ge=0)] = 2
    pool_connections_max: Annotated[int, _says("Database connections opened at most.", ge=1)] = 10
    pool_waiting_max: Annotated[
        int, _says("Requests that may wait for a connection; more are answered 503 at once.", ge=0)
    ] = 200
    pool_timeout_seconds: Annotated[
        float, _says("How long a request waits for a connection before it is answered 503.", ge=0.01)
    ] = 1.5
    statement_timeout_seconds: Annotated[float, _says("How long one SQL statement may run.", ge=0.01)] = 30.0
    lock_timeout_seconds: Annotated[
        float,
        _says("How long a request waits for what another has locked before it is answered 503.", ge=0.01),
    ] = 1.5
    wait_seconds_max: Annotated[int, _says("How long `?wait=` may hold a request open.", ge=0, le=55)] = 55
    poll_seconds: Annotated[
        float, _says("How often a held request looks for commits of other processes.", ge=0.01)
    ] = 1.0
    retry_after_seconds: Annotated[
        int, _says("What `Retry-After` says while the database is out of reach.", ge=1)
    ] = 2
    retention_days: Annotated[
        int,
        _says("How long a device may be silent until `rightfit tenant purge` waits no more for it.", ge=0),
    ] = 180
    log_level: Annotated[str, _says("Least severe log line written: debug, info, warning, error.")] = "info"


class SettingRow(msgspec.Struct, frozen=True):
    """One line of the table of settings."""

    name: str
    environment_name: str
    flag: str
    documentation: str
    default: object
    type_name: str
    is_secret: bool


def settings_table() -> list[SettingRow]:
    """Return every setting, in the order of declaration, for documentation and command line."""
    hints = get_type_hints(Settings, include_extras=True)
    return [_row(field, hints[field.name]) for field in msgspec.structs.fields(Settings)]


def _row(field: msgspec.structs.FieldInfo, hint: object) -> SettingRow:
    metas = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Meta)]
    return SettingRow(
        name=field.name,
        environment_name=PREFIX + field.name.upper(),
        flag="--" + field.name.replace("_", "-"),
        documentation=metas[0].description or "",
        default=field.default,
        type_name=getattr(hint, "__origin__", str).__name__,
        is_secret=bool((metas[0].extra or {}).get("secret")),
    )


def read_settings(
    environment: Mapping[str, str] | None = None, chosen: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings: `chosen` (from flags) over `environment` over defaults.

    Raises `SettingsError` naming the setting that is not what it should be.
    """
    source = os.environ if environment is None else environment
    found: dict[str, object] = {
        row.name: source[row.environment_name] for row in settings_table() if source.get(row.environment_name)
    }
    found.update({name: value for name, value in (chosen or {}).items() if value is not None})
    try:
        return msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        message = str(error)
        for row in settings_table():
            message = message.replace(f"$.{row.name}", f"{row.environment_name} ({row.flag})")
        raise SettingsError(message) from error


def signing_keys(text: str) -> dict[str, bytes]:
    """Return `{name: key}` in the order given; the first one signs.

    Raises `SettingsError` where there is none, or one is shorter than 32 bytes.
    """
    keys: dict[str, bytes] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, digits = part.partition("=")
        try:
            key = bytes.fromhex(digits)
        except ValueError:
            key = b""
        if not name or len(key) < 32:
            raise SettingsError(f"{PREFIX}SIGNING_KEYS: the key {name!r} needs 64 hexadecimal digits or more")
        keys[name] = key
    if not keys:
        raise SettingsError(f"{PREFIX}SIGNING_KEYS is empty: `rightfit up` makes keys and keeps them")
    return keys
