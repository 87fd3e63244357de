"""Reading a damaged file without SQLite: its pages as the log leaves them, and whatever rows stand in them.

SQLite stops at the first page whose shape is wrong, and at the first frame of the log whose checksum is. What is
behind that is still there. `flatten` writes one file out of both, with a header as all of ours have it; `rows` takes
every page for a leaf of a table and gives what can be read as a row, known by its own checksum (see `salvage`).

Source: https://sqlite.org/fileformat2.html, sections 1.3, 1.6, 2.1 and 4.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rightfit_client.connection import APPLICATION_ID, FILE_FORMAT
from rightfit_client.convert import Column

_HEADER_BYTES: Final = 100
_LOG_HEADER_BYTES: Final = 32
_FRAME_BYTES: Final = 24
_PAGE_BYTES: Final = 4096
"""SQLite's own choice, which nothing of ours changes."""

_PAGES_MAX: Final = 1 << 24
"""A frame for a page beyond this is damaged itself: no replica has 64 GB."""

_SIZES: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
"""Bytes of a column by its serial type, up to where texts and blobs begin."""


class Frame:
    """One frame of a log: the page that it holds, and whether it ends a commit."""

    def __init__(self, head: bytes, offset: int) -> None:
        self.page, self.pages_after, salt_1, salt_2 = struct.unpack(">4I", head[:16])
        self.salt = (salt_1, salt_2)
        self.offset = offset

    @property
    def is_commit(self) -> bool:
        """Whether a commit ends here."""
        return bool(self.pages_after)


def frames(log: bytes) -> list[Frame]:
    """Return the frames of the log's present run, whatever their checksums say."""
    step = _FRAME_BYTES + _PAGE_BYTES
    offsets = range(_LOG_HEADER_BYTES, len(log) - step + 1, step)
    found = [Frame(log[offset : offset + _FRAME_BYTES], offset + _FRAME_BYTES) for offset in offsets]
    if not found:
        return []
    # Where the header is what is damaged, the first frame knows the salt of the run as well.
    salt = struct.unpack(">2I", log[16:24]) if _is_genuine(log[:_LOG_HEADER_BYTES]) else found[0].salt
    return [frame for frame in found if frame.salt == salt]


def _is_genuine(header: bytes) -> bool:
    """Whether the header of a log has the checksum that it says."""
    order = ">" if header[3] & 1 else "<"
    words = struct.unpack(f"{order}6I", header[:24])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return struct.unpack(">2I", header[24:32]) == (first, second)


def hidden_commits(file: Path, log: Path, index: Path) -> int:
    """Return how many commits stand in the log behind the last frame that SQLite believes.

    One may be what a loss of power left of a transaction that was never durable; a second means that the first had
    been synced, and was damaged later. `index` is the log's index (`-shm`) after SQLite has read the log.
    """
    if not log.exists() or not index.exists():
        return 0
    with index.open("rb") as stream:
        head = stream.read(20)
    (believed,) = struct.unpack("=I", head[16:20]) if len(head) == 20 else (0,)
    end = _LOG_HEADER_BYTES + believed * (_FRAME_BYTES + _PAGE_BYTES)
    content = log.read_bytes()
    hidden = [frame for frame in frames(content) if frame.offset > end]
    if not believed and _holds(file, content, hidden):
        # Power was lost while a header was written for a new run: what is left of the former is in the file already.
        return 0
    return sum(frame.is_commit for frame in hidden)


def _holds(file: Path, log: bytes, found: Sequence[Frame]) -> bool:
    """Whether the file has every page as these frames leave it."""
    latest = {frame.page: frame.offset for frame in _committed(found)}
    with file.open("rb") as stream:
        for page, offset in latest.items():
            stream.seek((page - 1) * _PAGE_BYTES)
            if stream.read(_PAGE_BYTES) != log[offset : offset + _PAGE_BYTES]:
                return False
    return True


def _committed(found: Sequence[Frame]) -> Sequence[Frame]:
    last = max((place for place, frame in enumerate(found) if frame.is_commit), default=-1)
    return [frame for frame in found[: last + 1] if 0 < frame.page <= _PAGES_MAX]


def flatten(damaged: Path, log: Path, flat: Path) -> None:
    """Write to `flat` what `damaged` is with all commits of `log`, under a header that can be read."""
    content = log.read_bytes() if log.exists() else b""
    with damaged.open("rb") as source, flat.open("wb") as target:
        while piece := source.read(1 << 20):
            target.write(piece)
        for frame in _committed(frames(content)):
            target.seek((frame.page - 1) * _PAGE_BYTES)
            target.write(content[frame.offset : frame.offset + _PAGE_BYTES])
        target.seek(0, 2)
        pages = target.tell() // _PAGE_BYTES
        target.truncate(pages * _PAGE_BYTES)
        for offset, bytes_ in _header(pages).items():
            target.seek(offset)
            target.write(bytes_)


def _header(pages: int) -> Mapping[int, bytes]:
    """Return what stands where in the header of every file of ours, written as one that needs no log."""
    return {
        0: b"SQLite format 3\x00" + struct.pack(">H6B", _PAGE_BYTES, 1, 1, 0, 64, 32, 32),
        24: struct.pack(">4I", 1, pages, 0, 0),
        44: struct.pack(">4I", 4, 0, 0, 1),
        60: struct.pack(">3I", FILE_FORMAT, 0, APPLICATION_ID),
        92: struct.pack(">I", 1),
    }


def rows(flat: Path, widths: Collection[int]) -> Iterator[tuple[int, list[Column]]]:
    """Yield `(rowid, columns)` of all in a flat file that has the shape of a row of one of these numbers of columns.

    Some of it is none, or has been deleted.
    """
    with flat.open("rb") as stream:
        content = stream.read()
    for start in range(0, len(content), _PAGE_BYTES):
        page = content[start : start + _PAGE_BYTES]
        first = (_HEADER_BYTES if start == 0 else 0) + 8
        seen: set[int] = set()
        for slot in range(first, _PAGE_BYTES - 1, 2):
            pointer = page[slot] << 8 | page[slot + 1]
            if pointer > slot and pointer not in seen:
                seen.add(pointer)
                try:
                    yield _row(content, page, pointer, widths)
                except (IndexError, ValueError, struct.error):
                    continue


def _row(content: bytes, page: bytes, at: int, widths: Collection[int]) -> tuple[int, list[Column]]:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    end, place = _varint(page, at)
    serials = []
    while place < at + end:
        serial, place = _varint(page, place)
        serials.append(serial)
    if len(serials) not in widths or end + sum(map(_size, serials)) != size:
        raise ValueError("this is no row of ours")
    payload = _payload(content, page, at, size)
    columns: list[Column] = []
    place = end
    for serial in serials:
        columns.append(_column(payload[place : place + _size(serial)], serial))
        place += _size(serial)
    return rowid, columns


def _payload(content: bytes, page: bytes, at: int, size: int) -> bytes:
    """Return a row's payload: what stands in its page, and the rest in a chain of further ones."""
    most, least = _PAGE_BYTES - 35, (_PAGE_BYTES - 12) * 32 // 255 - 23
    local = size
    if size > most:
        local = least + (size - least) % (_PAGE_BYTES - 4)
        local = local if local <= most else least
    payload = bytearray(page[at : at + local])
    following = struct.unpack(">I", page[at + local : at + local + 4])[0] if local < size else 0
    while len(payload) < size:
        start = (following - 1) * _PAGE_BYTES
        if not 0 <= start < len(content):
            raise ValueError("the chain leaves the file")
        (following,) = struct.unpack(">I", content[start : start + 4])
        payload += content[start + 4 : start + _PAGE_BYTES][: size - len(payload)]
    return bytes(payload)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = content[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | content[at], at + 1


def _size(serial: int) -> int:
    return _SIZES[serial] if serial < len(_SIZES) else (serial - 12) // 2


def _column(content: bytes, serial: int) -> Column:
    if serial in (8, 9):
        return serial - 8
    if serial >= len(_SIZES):
        return content if serial % 2 == 0 else content.decode(errors="replace")
    # No column of ours holds a fraction.
    return int.from_bytes(content, signed=True) if content else None
