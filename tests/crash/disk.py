"""A model of a disk that loses power: what it was asked, what it has for sure, and what may be found on it afterwards.

The rules, from POSIX (fsync, rename and unlink promise nothing else) and from what SQLite says that it relies on
(https://sqlite.org/atomiccommit.html, sections 2 and 9; https://sqlite.org/psow.html):

- What was written to a file before a sync of that file is there for sure.
- Of what was written since, anything may be there: nothing, all, some of the writes without those before them, a part
  of the last one; or the file has grown and holds zeros where the data should be.
- A torn write leaves bytes outside its own range alone (powersafe overwrite, which the unix VFS assumes).
- That a name stands for a file, or does so no more, is there for sure after a sync of the folder. Names are made and
  removed in order: a crash keeps a first part of what the folder was asked since its last sync.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from random import Random
from typing import Final, Literal, NamedTuple, TypeAlias

from tests.crash.disk_log import Event

SECTOR_BYTES: Final = 512

Variant: TypeAlias = Literal["all", "nothing", "torn", "halved", "reordered", "hollow"]
VARIANTS: Final[tuple[Variant, ...]] = ("all", "nothing", "torn", "halved", "reordered", "hollow")

Image: TypeAlias = Mapping[str, bytes]
"""Names of files, without their folder, to contents."""


class _Request(NamedTuple):
    """A write of `data` at `offset`, or (data is None) a truncation to `offset` bytes."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def cut(self, size: int) -> "_Request":
        return self if self.data is None else _Request(self.offset, self.data[:size])

    def hollow(self, from_offset: int) -> "_Request":
        """Return the same request, with zeros in place of what lies beyond `from_offset`."""
        if self.data is None:
            return self
        kept = max(0, min(len(self.data), from_offset - self.offset))
        return _Request(self.offset, self.data[:kept] + bytes(len(self.data) - kept))


class _Inode:
    """One file's content: for sure, and what was asked since."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.unsynced: list[_Request] = []

    def sync(self) -> None:
        for request in self.unsynced:
            request.apply(self.durable)
        self.unsynced.clear()


class _Naming(NamedTuple):
    """A name that was given to a file, or (inode is None) taken away."""

    name: str
    inode: _Inode | None


class Disk:
    """Takes the events of a log, one by one. One that `ignores_syncs` tells lies, as cheap disks do."""

    def __init__(self, *, ignores_syncs: bool = False) -> None:
        self._ignores_syncs = ignores_syncs
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._namings: list[_Naming] = []
        self._open: dict[int, _Inode] = {}
        self._latest: _Inode | None = None

    def take(self, event: Event) -> None:
        """Do what the disk was asked."""
        match event.kind:
            case "o":
                self._open[event.file] = self._named(_name(event))
            case "w":
                self._request(event.file, _Request(event.offset, event.payload))
            case "t":
                self._request(event.file, _Request(event.offset, None))
            case "s":
                if not self._ignores_syncs:
                    self._open[event.file].sync()
            case "S":
                self._names[_name(event)].sync()
            case "d":
                self._names.pop(_name(event), None)
                self._namings.append(_Naming(_name(event), None))
            case "D":
                if not self._ignores_syncs:
                    self._durable_names = dict(self._names)
                    self._namings.clear()
            case _:
                raise ValueError(f"no event is of kind {event.kind}")

    def _named(self, name: str) -> _Inode:
        if name not in self._names:
            self._names[name] = _Inode()
            self._namings.append(_Naming(name, self._names[name]))
        return self._names[name]

    def _request(self, file: int, request: _Request) -> None:
        self._latest = self._open[file]
        self._latest.unsynced.append(request)

    def image(self, variant: Variant, random: Random) -> Image:
        """Return what may be on the disk after a loss of power now."""
        names = sorted(self._names_after(variant, random).items())
        return {name: self._content(inode, variant, random) for name, inode in names}

    def _content(self, inode: _Inode, variant: Variant, random: Random) -> bytes:
        content = bytearray(inode.durable)
        for request in self._survivors(inode, variant, random) if inode.unsynced else ():
            request.apply(content)
        return bytes(content)

    def _names_after(self, variant: Variant, random: Random) -> Mapping[str, _Inode]:
        kept = len(self._namings)
        if variant == "nothing":
            kept = 0
        elif variant == "reordered":
            kept = random.randint(0, kept)
        names = dict(self._durable_names)
        for name, inode in self._namings[:kept]:
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        return names

    def _survivors(self, inode: _Inode, variant: Variant, random: Random) -> list[_Request]:
        """Return those requests that have reached the disk; the latest of all is the one that can be torn."""
        unsynced = inode.unsynced
        last = unsynced[-1]
        size = len(last.data or b"")
        match variant:
            case "nothing":
                return []
            case "reordered":
                return [request for request in unsynced if random.random() < 0.5]
            case "hollow":
                return [request.hollow(len(inode.durable)) for request in unsynced]
            case "torn" if inode is self._latest:
                return [*unsynced[:-1], last.cut(_sector_edge(last.offset, size, random))]
            case "halved" if inode is self._latest:
                return [*unsynced[:-1], last.cut(size // 2)]
            case _:
                return unsynced


def _sector_edge(offset: int, size: int, random: Random) -> int:
    """Return how much of a write is kept that ends at the edge of a sector of the disk."""
    first = -offset % SECTOR_BYTES
    edges = range(first, size + 1, SECTOR_BYTES)
    return random.choice(edges) if edges else 0


def _name(event: Event) -> str:
    return PurePosixPath(event.payload.decode()).name
