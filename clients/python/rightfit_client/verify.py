"""Comparing the trunk with the authority's, record by record, and mending it from there.

Digests find out where the two differ, narrowed by id ranges; the records themselves say how. Neither side adopts the
other's digest. A record that somebody has changed meanwhile differs as well, until it is pulled: what still differs
after one more sync was damaged. Source: docs/explanation/semantics.md, section 8.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

import msgspec

from rightfit_client.doctor import drop_damaged
from rightfit_client.errors import (
    OFFER_REFUSED,
    NeedsRepair,
    RemoteError,
    RemoteProblem,
    told_by_the_core,
)
from rightfit_client.loop import drive
from rightfit_client.opening import OpenFile
from rightfit_client.owed import settle
from rightfit_sync.exchange import RESPONSE_TOO_LARGE, Call, Exchange, Response
from rightfit_sync.limits import KEYS_PER_REQUEST_MAX
from rightfit_sync.reconcile import Differing, Reconciled, Reconciliation
from rightfit_sync.wire.messages import ReconcileRequest, ReconcileResponse

Send = Callable[[Call], Response]
_T = TypeVar("_T")
_Steps: TypeAlias = Generator[ReconcileRequest, ReconcileResponse, _T]


class Difference(msgspec.Struct, frozen=True):
    """A record that is not as the authority has it; `what` says how, for people."""

    kind: str
    entity_id: str
    what: str


def verify(opened: OpenFile, begin: Callable[[], Exchange], send: Send, *, repair: bool) -> list[Difference]:
    """Sync and compare; `begin` gives a fresh `Exchange`. See `Replica.verify`."""
    unread = [Difference(*key, "cannot be read") for key in drop_damaged(opened)] if repair else []
    _sync(begin, send)
    differing = _compared(opened, send)
    if differing:
        _sync(begin, send)
        still = {one.key for one in differing}
        differing = [one for one in _compared(opened, send) if one.key in still]
    if differing and repair:
        _carry_out(lambda rows_max: _mending(opened, rows_max), send)
    if repair or not differing:
        settle(opened)
    return [*unread, *map(_difference, differing)]


def _sync(begin: Callable[[], Exchange], send: Send) -> None:
    try:
        drive(begin().steps(), send)
    except NeedsRepair as problem:
        # A record that the authority does not take back is what is looked for here; all else has been done.
        if problem.code != OFFER_REFUSED:
            raise


def _compared(opened: OpenFile, send: Send) -> list[Differing]:
    return _carry_out(lambda rows_max: Reconciliation(opened.core, rows_max=rows_max).compare(), send)


def _mending(opened: OpenFile, rows_max: int) -> _Steps[Reconciled]:
    return Reconciliation(opened.core, is_repair=True, rows_max=rows_max).steps()


def _carry_out(begin: Callable[[int], _Steps[_T]], send: Send) -> _T:
    """Carry out the steps that `begin` gives; begin again with smaller lots where an answer is too large to read."""
    rows_max = KEYS_PER_REQUEST_MAX
    while True:
        try:
            return _carried_out(begin(rows_max), send)
        except RemoteProblem as problem:
            if problem.code != RESPONSE_TOO_LARGE or rows_max == 1:
                raise
            rows_max //= 2


def _carried_out(steps: _Steps[_T], send: Send) -> _T:
    try:
        request = next(steps)
        while True:
            request = steps.send(_answer(send(Call(request))))
    except StopIteration as end:
        done: _T = end.value
        return done
    except RemoteProblem:
        raise
    except RemoteError as error:
        raise told_by_the_core(error) from error


def _answer(response: Response) -> ReconcileResponse:
    if isinstance(response, ReconcileResponse):
        return response
    raise RemoteError("malformed_response", "the answer is to another question", status=200)


def _difference(one: Differing) -> Difference:
    return Difference(*one.key, _how(one))


def _how(one: Differing) -> str:
    ours, theirs = one.ours, one.theirs
    if ours is None:
        return "is missing here"
    if theirs is None:
        return "is not the authority's, or not for this subject"
    paths = {*ours.entity.fields, *theirs.entity.fields}
    other = sorted(path for path in paths if ours.entity.fields.get(path) != theirs.entity.fields.get(path))
    if other:
        return f"differs in {', '.join(other)}"
    if ours.entity != theirs.entity:
        return "differs in its life or its version vector"
    return "differs in its tags or orphans"
