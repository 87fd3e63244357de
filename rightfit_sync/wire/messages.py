"""The messages between a device and the authority.

One exchange does everything: `SyncRequest` carries changes up, `SyncResponse` receipts and a page of the feed down.
Either half may be left out. Unknown keys are ignored, so that a newer peer may say more. Message shapes may only grow
within one `protocol_version`; a test holds a hash of them.
"""

from collections.abc import Sequence

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.feed import Page
from rightfit_sync.ingest.snapshot import Pushed, Receipt


class SyncRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device sends.

    `cursor` is where its next page begins (absent: at the beginning); `rows_max` bounds the
    page, and 0 asks for none; `schema_version` is the device's.
    """

    protocol_version: int
    schema_version: int
    changes: Sequence[Pushed] = ()
    cursor: str | None = None
    rows_max: int = 1000


class Deferred(msgspec.Struct, frozen=True):
    """A change that stays pending, without a receipt, and why (`schema_ahead`: its kind is not known here yet)."""

    dot: Dot
    code: str


class SyncResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the authority answers.

    `kinds` are those its schema has, so that a device knows what to hold back; `receipts` come in the order of
    the changes; `page` is absent where none was asked for.
    """

    protocol_version: int
    schema_version: int
    epoch: str
    kinds: Sequence[str]
    receipts: Sequence[Receipt] = ()
    deferred: Sequence[Deferred] = ()
    page: Page | None = None


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document.

    `code` is a stable word, `field` and `value` what is wrong, `remedy` the way out; `expected` the
    counter that a `counter_gap` should have had.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    field: str = ""
    value: str = ""
    remedy: str = ""
    expected: int | None = None
