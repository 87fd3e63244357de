"""The document of an entity: what an app sees of it, as JSON for SQL.

Reports cast dates and times, and a cast that fails takes the whole report with it; so a date that is none
(`2026-02-31`) is null here. The record itself keeps what was written.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime

import msgspec

from rightfit_sync.records import Entity
from rightfit_sync.schema.spec import KindSpec
from rightfit_sync.values import Value
from rightfit_sync.view import values

_READERS: Mapping[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def document(entity: Entity, kind: KindSpec) -> bytes:
    """Return `{field: value}` of `entity` (also of a deleted one) as JSON."""
    return msgspec.json.encode(
        {name: _castable(kind, name, value) for name, value in values(entity, kind).items()}
    )


def _castable(kind: KindSpec, name: str, value: Value) -> Value:
    spec = kind.fields.get(name)
    read = None if spec is None else _READERS.get(spec.type)
    if read is None or not isinstance(value, str):
        return value
    try:
        read(value)
    except ValueError:
        return None
    return value
