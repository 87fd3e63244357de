"""A repair that is owed: the authority has not taken a record back, and somebody must look at it.

A sync says so once (`offer_refused`), and what follows it has nothing to offer. So the file remembers, until a
reconciliation that somebody asked for comes through, or `verify` finds nothing that differs, or mends it. See
docs/explanation/semantics.md, section 8.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from rightfit_client.errors import OFFER_REFUSED, RemoteError, RemoteProblem, told_by_the_core
from rightfit_client.facts import forget_meta, meta, put_meta
from rightfit_client.opening import OpenFile
from rightfit_sync.exchange import Exchange, Progress, Steps

_FACT: Final = "repair_owed"


class _Refused(msgspec.Struct, frozen=True):
    """The refusal as it was raised: what it said, and of which record (`kind/entity_id`)."""

    message: str
    path: str


def owed(opened: OpenFile) -> RemoteProblem | None:
    """Return the refusal that nobody has dealt with yet, as it was raised; call it with the unit's lock held."""
    said = meta(opened.connection, _FACT)
    if said is None:
        return None
    refused = msgspec.json.decode(said, type=_Refused)
    return told_by_the_core(RemoteError(OFFER_REFUSED, refused.message, status=409, path=refused.path))


def settle(opened: OpenFile) -> None:
    """Nothing is owed any more."""
    with opened.unit.transaction():
        forget_meta(opened.connection, _FACT)


class RememberingExchange(Exchange):
    """One sync of `opened`, which remembers how a reconciliation ended."""

    def __init__(
        self, opened: OpenFile, *, report: Callable[[Progress], None], taken: Callable[[], None]
    ) -> None:
        super().__init__(opened.core, report=report, taken=taken)
        self._opened = opened

    def steps(self, wait_seconds: int = 0) -> Steps:
        """Sync, see `Exchange`."""
        was_reconciling = self._opened.store.state().must_reconcile
        try:
            synced = yield from super().steps(wait_seconds)
        except RemoteError as error:
            if error.code == OFFER_REFUSED:
                self._owe(_Refused(str(error), error.path))
            raise
        if was_reconciling:
            settle(self._opened)
        return synced

    def _owe(self, refused: _Refused) -> None:
        with self._opened.unit.transaction():
            put_meta(self._opened.connection, _FACT, msgspec.json.encode(refused).decode())
