"""Live queries: an application hands in a question once and hears each new answer.

After a commit that changed a table that the question reads, it is asked again; the callback is called where
the answer differs. Callbacks run one after the other, on the thread whose commit brought the news (the
background loop's, for what others wrote), after the commit and without the store's lock, so they may read and
write the replica. A callback that raises is logged and stays subscribed: the edit that it heard of is durable
already.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Self, TypeAlias

from rightfit_client.query import Query, Rows, Select

Callback: TypeAlias = Callable[[Rows], None]
Question: TypeAlias = Query | Select

_LOG = logging.getLogger(__name__)


class Subscription:
    """One live query; `cancel()` ends it, as does leaving its `with` block."""

    def __init__(
        self, queries: "LiveQueries", question: Question, callback: Callback, tables: frozenset[str]
    ) -> None:
        self.question = question
        self.tables = tables
        self._queries = queries
        self._callback = callback
        self._answer: Rows | None = None

    def refresh(self, answer: Rows) -> None:
        """Tell the callback where the answer is new."""
        if answer == self._answer:
            return
        self._answer = answer
        try:
            self._callback(answer)
        except Exception:  # noqa: BLE001 - whatever it is, it is the callback's, and it is logged.
            _LOG.exception("the callback of a live query failed: %s", self.question.sql)

    def cancel(self) -> None:
        """Hear no more."""
        self._queries.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class LiveQueries:
    """All subscriptions of a replica. `ask` answers a question, `reads` names the tables that it reads."""

    def __init__(self, ask: Callable[[Question], Rows], reads: Callable[[Question], frozenset[str]]) -> None:
        self._ask = ask
        self._reads = reads
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._stale: dict[Subscription, None] = {}
        self._is_telling = False

    def add(self, question: Question, callback: Callback) -> Subscription:
        """Subscribe; the callback hears the present answer before this returns (inside another one, soon)."""
        subscription = Subscription(self, question, callback, self._reads(question))
        with self._lock:
            self._subscriptions.append(subscription)
            self._stale[subscription] = None
        self._tell()
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription; unknown ones are ignored."""
        with self._lock:
            self._subscriptions = [one for one in self._subscriptions if one is not subscription]
            self._stale.pop(subscription, None)

    def notice(self, tables: Iterable[str]) -> None:
        """Ask again whatever reads one of these tables."""
        changed = frozenset(tables)
        if not self._subscriptions or not changed:
            return
        with self._lock:
            self._stale.update({one: None for one in self._subscriptions if one.tables & changed})
        self._tell()

    def _tell(self) -> None:
        """Let one thread at a time work off what is stale; the others leave it theirs."""
        while True:
            with self._lock:
                if self._is_telling or not self._stale:
                    return
                self._is_telling = True
                subscription = next(iter(self._stale))
                del self._stale[subscription]
            try:
                subscription.refresh(self._ask(subscription.question))
            finally:
                with self._lock:
                    self._is_telling = False
