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
from rightfit_sync.ingest.snapshot import Key, Pushed
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
        change = pushed.change
        if not (_DIGEST.match(pushed.digest) and all(map(_DIGEST.match, _given_digests(change)))):
            message = "a digest is 32 hexadecimal digits, in lower case"
            raise RemoteError("invalid_message", message, path=f"changes[{number}].digest")
        if not 1 <= change.dot.counter <= INTEGER_MAX:
            message = f"{change.dot.counter} is no counter: they begin at 1"
            raise RemoteError("invalid_message", message, path=f"changes[{number}].change.dot")


def _given_digests(change: Change) -> Sequence[str]:
    was = () if change.was is UNSET else (change.was.digest,)
    return was if change.digest is UNSET else (*was, change.digest)


def name_problem(change: Change) -> Outcome | None:
    """Return the rejection of a change whose names no table can hold, or None."""
    if is_storable_name(change.entity_id) and not change.transaction_id:
        return None
    for path, name in (("entity_id", change.entity_id), ("transaction_id", change.transaction_id or "-")):
        found = text_problem(name)
        if found is not None:
            return rejected(found[0], f"{path}: {found[1]}", path)
        if not 1 <= len(name) <= NAME_LENGTH_MAX:
            message = f"{path} has {len(name)} characters: 1 to {NAME_LENGTH_MAX} are kept"
            return rejected("invalid_name", message, path)
    return None


def storable_keys(keys: Iterable[Key]) -> list[Key]:
    """Return those of `keys` that a table could hold, in their order."""
    known = list(keys)
    kinds = {kind for kind in {kind for kind, _ in known} if is_storable_name(kind)}
    return [key for key in known if key[0] in kinds and is_storable_name(key[1])]


def storable_dots(dots: Iterable[Dot]) -> list[Dot]:
    """Return those of `dots` that a table could hold, in their order."""
    known = list(dots)
    device_ids = {name for name in {dot.device_id for dot in known} if is_storable_name(name)}
    return [dot for dot in known if dot.device_id in device_ids and 1 <= dot.counter <= INTEGER_MAX]


def is_storable(dot: Dot) -> bool:
    """Whether a table could hold this dot: one that none could hold has no receipt either."""
    return 1 <= dot.counter <= INTEGER_MAX and is_storable_name(dot.device_id)


def is_storable_name(name: str) -> bool:
    """Whether a table could hold this name as a key."""
    return 1 <= len(name) <= NAME_LENGTH_MAX and text_problem(name) is None
