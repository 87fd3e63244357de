"""The log of a history: what SQLite asked of the disk, and what the SDK told its caller, in one order.

`recording_vfs.c` appends the first, `Log.mark` the second, each with one write to a file that both hold open for
appending. The grammar of a record is in `recording_vfs.c`. Two kinds are added here: `S` is a sync by the SDK itself,
past SQLite, of the file whose path is the payload; `m` is a mark, JSON:

| mark | says |
|---|---|
| `begins` | a program with `schema_version` is about to open the file |
| `committed` | a COMMIT of the SDK has returned; `state` is the digest of all tables after it |
| `told` | a call of the SDK has returned; see `Told` |
| `asked` | the authority has taken in and decided `request` (MessagePack, base64) of `device_id` at `now` |
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from rightfit_sync.causality.dot import Dot
from rightfit_sync.wire.messages import SyncRequest

_HEADER: Final = struct.Struct("=c3xIqI")

Row: TypeAlias = dict[str, object]
Rows: TypeAlias = dict[str, Row | None]
"""`kind/entity_id` to its row, or None where it is not shown."""


class Made(msgspec.Struct, frozen=True):
    """A change that the SDK has made: its name, its digest and its entity."""

    dot: Dot
    digest: str
    kind: str
    entity_id: str


class Told(msgspec.Struct, frozen=True, tag="told"):
    """What the caller knows once a call has returned.

    `made` are the changes that it made, `wrote` the fields that it gave them (None: it deleted the entity). Where the
    call took in what others had written, `shows` is all that the app sees afterwards. `settled` are the rejected
    changes that it has dealt with. `is_rebuilding` says that it has let go of its copy.
    """

    step: str
    made: list[Made] = []
    wrote: Rows = {}
    shows: Rows | None = None
    settled: list[Dot] = []
    is_rebuilding: bool = False


class Begins(msgspec.Struct, frozen=True, tag="begins"):
    """A program opens the file."""

    schema_version: int


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """A COMMIT has returned."""

    state: str


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """The authority has decided."""

    device_id: str
    now: int
    request: bytes

    @property
    def message(self) -> SyncRequest:
        """The request."""
        return msgspec.msgpack.decode(self.request, type=SyncRequest)


Mark: TypeAlias = Told | Begins | Committed | Asked


class Event(msgspec.Struct, frozen=True):
    """One request of SQLite to the disk; see `recording_vfs.c` for `kind`."""

    kind: str
    file: int
    offset: int
    payload: bytes


class Log:
    """Appends marks to the log at `path`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def mark(self, mark: Mark) -> None:
        """Append a mark."""
        self._append(b"m", msgspec.json.encode(mark))

    def sync(self, path: str) -> None:
        """Append that the file at `path` was synced."""
        self._append(b"S", path.encode())

    def _append(self, kind: bytes, body: bytes) -> None:
        whole = _HEADER.pack(kind, 0, 0, len(body)) + body
        if os.write(self._descriptor, whole) != len(whole):
            raise OSError("the log could not be written")


def read_log(path: Path) -> Iterator[Event | Mark]:
    """Return what the log says, in order."""
    decode = msgspec.json.Decoder(Told | Begins | Committed | Asked).decode
    for kind, file, offset, payload in _records(path.read_bytes()):
        yield decode(payload) if kind == "m" else Event(kind, file, offset, payload)


def _records(said: bytes) -> Iterator[tuple[str, int, int, bytes]]:
    at = 0
    while at < len(said):
        kind, file, offset, size = _HEADER.unpack_from(said, at)
        at += _HEADER.size + size
        yield kind.decode(), file, offset, said[at - size : at]


def beginning(path: Path, events: int) -> bytes:
    """Return the log up to the end of so many events."""
    said = path.read_bytes()
    size = 0
    for kind, _, _, payload in _records(said):
        if events == 0:
            break
        size += _HEADER.size + len(payload)
        events -= kind != "m"
    return said[:size]


def asked(device_id: str, now: int, request: SyncRequest) -> Asked:
    """Return the mark for a request."""
    return Asked(device_id, now, msgspec.msgpack.encode(request))
