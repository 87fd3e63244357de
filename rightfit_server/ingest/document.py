"""The document of an entity: what an app sees of it, as JSON for SQL.

Reports cast dates and times, and a cast that fails takes the whole report with it; so a date that is none
(`2026-02-31`) is null here. The record itself keeps what was written.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import cast

import msgspec

from rightfit_sync.schema.spec import KindSpec
from rightfit_sync.values import Value
from rightfit_sync.view import assemble

_encode = msgspec.json.Encoder().encode
_READERS: Mapping[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def document(by_path: Mapping[str, Value], kind: KindSpec) -> bytes:
    """Return `{field: value}` of an entity (also of a deleted one) as JSON, of the value that is shown at each path."""
    shown = assemble(by_path, kind)
    for name, read in _dates(kind):
        value = shown.get(name)
        if isinstance(value, str) and not _is_read(read, value):
            shown[name] = None
    return _encode(shown)


def _dates(kind: KindSpec) -> Sequence[tuple[str, Callable[[str], object]]]:
    """Return the fields of `kind` that reports cast, each with how it is read; made once per kind."""
    cache = kind.__dict__
    found = cache.get("dates")
    if found is None:
        found = [(name, _READERS[spec.type]) for name, spec in kind.fields.items() if spec.type in _READERS]
        cache["dates"] = found
    return cast("Sequence[tuple[str, Callable[[str], object]]]", found)


def _is_read(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True
