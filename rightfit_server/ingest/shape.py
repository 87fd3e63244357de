"""What a push must look like before anything is looked up for it.

Names (kinds, ids, digests) become keys of tables, which hold neither NUL nor half characters nor endless
text. A change with a name that cannot be kept is rejected by name, with its payload; a push that no
honest device makes (too many changes, a digest that is none) is refused as a whole. Faults B03, B04 of
docs/explanation/faults.md.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import UNSET

from rightfit_sync.causality.dot import Dot
from rightfit_sync.errors import RemoteError
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import CHANGES_PER_PUSH_MAX, INTEGER_MAX
from rightfit_sync.records import Change, Outcome, rejected
from rightfit_sync.values import text_problem

NAME_LENGTH_MAX = 200
"""Code points in an entity's id, a kind, a transaction id: they stand in the keys of tables."""

_DIGEST = re.compile(r"[0-9a-f]{32}\Z")


def check_push(push: Sequence[Pushed]) -> None:
    """Refuse, as `RemoteError`, a push that is no push."""
    if len(push) > CHANGES_PER_PUSH_MAX:
        message = f"{len(push)} changes, at most {CHANGES_PER_PUSH_MAX} in one push: send less at once"
        raise RemoteError("too_large", message, status=413, path="changes")
    for number, pushed in enumerate(push):
        digests = [pushed.digest, *_given_digests(pushed.change)]
        if not all(map(_DIGEST.match, digests)):
            message = "a digest is 32 hexadecimal digits, in lower case"
            raise RemoteError("invalid_message", message, path=f"changes[{number}].digest")
        if not 1 <= pushed.change.dot.counter <= INTEGER_MAX:
            message = f"{pushed.change.dot.counter} is no counter: they begin at 1"
            raise RemoteError("invalid_message", message, path=f"changes[{number}].change.dot")


def _given_digests(change: Change) -> Iterable[str]:
    if change.was is not UNSET:
        yield change.was.digest
    if change.digest is not UNSET:
        yield change.digest


def name_problem(change: Change) -> Outcome | None:
    """Return the rejection of a change whose names no table can hold, or None."""
    for path, name in (("entity_id", change.entity_id), ("transaction_id", change.transaction_id or "-")):
        found = text_problem(name)
        if found is not None:
            return rejected(found[0], f"{path}: {found[1]}", path)
        if not 1 <= len(name) <= NAME_LENGTH_MAX:
            message = f"{path} has {len(name)} characters: 1 to {NAME_LENGTH_MAX} are kept"
            return rejected("invalid_name", message, path)
    return None


def is_storable(dot: Dot) -> bool:
    """Whether a table could hold this dot: one that none could hold has no receipt either."""
    return 1 <= dot.counter <= INTEGER_MAX and is_storable_name(dot.device_id)


def is_storable_name(name: str) -> bool:
    """Whether a table could hold this name as a key."""
    return 1 <= len(name) <= NAME_LENGTH_MAX and text_problem(name) is None
