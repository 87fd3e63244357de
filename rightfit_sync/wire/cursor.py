"""Cursors: opaque, signed strings over an integer position in one tenant's feed, for one device.

A cursor says up to which commit (`seq`, never a timestamp) a device has everything, with the epoch and the chain hash
there: after a restore of the authority both give away a cursor from a future that did not happen. Where the device has
heard of later commits than it has read (an answer to its push, a page that is not the last), `head` is the newest of
these, with its chain hash. `tags_seq` is the commit up to which grants of the subject are taken into account; while
rows of newly granted tags are sent, `backfill` is the position inside them. `floor` is the horizon of collected
tombstones when the device began at the beginning: of those it has never held anything.

Form: base64url( MessagePack array ) "." base64url( first 16 bytes of HMAC-SHA256 ).
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from rightfit_sync.errors import RemoteError

_TAG_BYTES = 16


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The content of a cursor, for the authority's eyes."""

    tenant_id: str
    device_id: str
    epoch: str
    seq: int
    chain: str
    tags_seq: int = 0
    backfill: int | None = None
    head: int = 0
    head_chain: str = ""
    floor: int = 0

    def is_expired(self, horizon: int) -> bool:
        """Whether a tombstone that the device has not heard of may be gone; `horizon` is the newest such commit."""
        return max(self.seq, self.floor) < horizon

    def heard_of(self, head: int, head_chain: str) -> "Cursor":
        """Return this place, for a device that has now heard of the commit `head`."""
        is_behind = head > self.seq
        return replace(self, head=head if is_behind else 0, head_chain=head_chain if is_behind else "")


def sign(cursor: Cursor, key: bytes) -> str:
    """Return the opaque form of `cursor`."""
    content = msgspec.msgpack.encode(cursor)
    return f"{_text(content)}.{_text(_tag(content, key))}"


def read(opaque: str, key: bytes) -> Cursor:
    """Return the content of `opaque`, whoever it was made for; raises `RemoteError` `cursor_invalid` (400)."""
    content_text, _, tag_text = opaque.partition(".")
    try:
        content, tag = _bytes(content_text), _bytes(tag_text)
    except (ValueError, Base64Error) as error:
        raise _invalid() from error
    is_ours = hmac.compare_digest(tag, _tag(content, key))
    if not is_ours or opaque != f"{_text(content)}.{_text(tag)}":
        raise _invalid()
    try:
        return msgspec.msgpack.decode(content, type=Cursor)
    except msgspec.MsgspecError as error:
        raise _invalid() from error


def verify(opaque: str, key: bytes, *, tenant_id: str, device_ids: Collection[str]) -> Cursor:
    """Return the content of `opaque`; `device_ids` are all those that the replica has used.

    Raises `RemoteError`: `cursor_invalid` (400) if it was tampered with, `cursor_foreign` (403) if it was made for
    another tenant or device.
    """
    cursor = read(opaque, key)
    if cursor.tenant_id != tenant_id or cursor.device_id not in device_ids:
        message = "the cursor was made for another device: pull without it"
        raise RemoteError("cursor_foreign", message, status=403, path="cursor")
    return cursor


def _invalid() -> RemoteError:
    return RemoteError("cursor_invalid", "the cursor is not one of ours: pull without it", path="cursor")


def _tag(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")[:_TAG_BYTES]


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
