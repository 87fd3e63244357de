"""The journal: what each person wrote and what their screen showed just before, kept outside the SDK.

It is the witness that `accounts` questions. A line is written before a change is handed to the SDK, and again
once the SDK has said that the change is durable. A line without the second one (the process died in between)
may be true or not: it is never called lost. Nothing in it comes from the engine: no dots, no vectors, no
receipts.

Lines are JSON, in a file that outlives the process, flushed to the disk before the SDK is called.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from rightfit_sync.values import Value

Op: TypeAlias = Literal["create", "edit", "delete", "resolve"]


class Write(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change as a person meant it.

    `wrote` holds the fields with their new values, `saw` the whole record as the screen showed it (empty
    for a create). A resolution names its `path`, and in `choices` the values between which the person
    chose.
    """

    number: int
    person: str
    op: Op
    kind: str
    entity_id: str
    wrote: Mapping[str, Value] = {}
    saw: Mapping[str, Value] = {}
    path: str = ""
    choices: Sequence[Value] = ()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: a write that is about to be made, or the number of one that is durable now."""

    write: Write | None = None
    durable: int | None = None


class Entry(msgspec.Struct, frozen=True):
    """A write, and whether the SDK has said that it is durable."""

    write: Write
    is_durable: bool


class Journal:
    """Appends to one file; every process has its own, `entries_of` reads several."""

    def __init__(self, path: Path) -> None:
        _cut_half_a_line(path)
        self._file = path.open("ab")
        self._held: list[int] | None = None
        self._number = max((entry.write.number for entry in entries_of([path])), default=0)

    @property
    def number(self) -> int:
        """The number of the last write."""
        return self._number

    @contextmanager
    def writing(
        self,
        person: str,
        op: Op,
        kind: str,
        entity_id: str,
        *,
        wrote: Mapping[str, Value] | None = None,
        saw: Mapping[str, Value] | None = None,
        path: str = "",
        choices: Sequence[Value] = (),
    ) -> Iterator[None]:
        """Note a change before the block, which hands it to the SDK, and that it is durable after it."""
        self._number += 1
        number = self._number
        write = Write(number, person, op, kind, entity_id, wrote or {}, saw or {}, path, choices)
        self._append([Line(write=write)])
        yield
        if self._held is None:
            self._append([Line(durable=number)])
        else:
            self._held.append(number)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold back that changes are durable until the block, which commits them at once, has ended."""
        self._held = []
        try:
            yield
            self._append([Line(durable=number) for number in self._held])
        finally:
            self._held = None

    def _append(self, lines: Sequence[Line]) -> None:
        self._file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
        self._file.flush()
        if self._held is None:
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def entries_of(paths: Sequence[Path]) -> list[Entry]:
    """Return what the journals say, each in its order; a last line that was cut off is left out."""
    entries = []
    for path in paths:
        lines = [msgspec.json.decode(line, type=Line) for line in path.read_bytes().split(b"\n")[:-1]]
        durable = {line.durable for line in lines if line.durable is not None}
        entries += [
            Entry(line.write, line.write.number in durable) for line in lines if line.write is not None
        ]
    return entries


def _cut_half_a_line(path: Path) -> None:
    """Remove a last line that a crash has cut off, so that the next one begins at its own beginning."""
    if path.exists():
        whole = path.read_bytes().rpartition(b"\n")
        os.truncate(path, len(whole[0]) + len(whole[1]))
