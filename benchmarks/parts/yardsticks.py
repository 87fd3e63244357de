"""Yardsticks: fixed work of the same sort as a hot path, which no change of the product makes faster or slower.

Each takes about a millisecond: where machines are busy, what is short is now and then not interrupted.

The time of a hot path divided by that of its yardstick, both taken in turns, says how fast the code is and not how fast
the machine is just now.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.floor import UPSERT, connect
from benchmarks.workload import records

COUNT = 40
FIELDS_MERGED = 12

Step = Callable[[], object]


def python() -> Step:
    """Return a three-way merge of small maps, in plain Python: dictionaries, calls, small objects."""
    base = {f"field-{number}": number for number in range(FIELDS_MERGED)}
    mine = {**base, "field-1": -1, "field-2": -2}
    theirs = {**base, "field-2": -3, "field-9": -9}
    vectors = [({"ann": number, "bob": 3}, {"ann": 2, "bob": number}) for number in range(4 * COUNT)]

    def step() -> object:
        return [(_merged(base, mine, theirs), _includes(one, other)) for one, other in vectors]

    return step


def _merged(
    base: Mapping[str, int], mine: Mapping[str, int], theirs: Mapping[str, int]
) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, before in base.items():
        one, other = mine[name], theirs[name]
        if other in (one, before):
            found[name] = (one,)
        elif one == before:
            found[name] = (other,)
        else:
            found[name] = tuple(sorted((one, other)))
    return found


def _includes(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(one.get(device, 0) >= counter for device, counter in other.items())


class Written(msgspec.Struct, frozen=True, gc=False):
    """A value with who wrote it when, as deep as what travels."""

    value: str | int | list[str] | None
    dots: list[tuple[str, int, int]]


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A record with its history in short."""

    kind: str
    name: str
    vector: dict[str, int]
    fields: dict[str, list[Written]]


class Parcel(msgspec.Struct, frozen=True):
    """A message."""

    rows: list[Whole]


def _parcel() -> Parcel:
    rows = []
    for number, record in enumerate(records(COUNT)):
        values = msgspec.to_builtins(record)
        fields = {name: [Written(value, [("office", number, 1)])] for name, value in values.items()}
        rows.append(Whole("work_order", record.id, {"office": number}, fields))
    return Parcel(rows)


def codec() -> Step:
    """Return a message of nested records to MessagePack and back, validated."""
    parcel = _parcel()
    return lambda: msgspec.msgpack.decode(msgspec.msgpack.encode(parcel), type=Parcel)


@contextmanager
def rows(folder: Path) -> Iterator[Step]:
    """Give a message to decode and its rows to write into an indexed SQLite table."""
    body = msgspec.msgpack.encode(_parcel())
    columns = [record.columns() for record in records(COUNT)]
    connection = connect(folder / "yardstick.db")

    def step() -> None:
        msgspec.msgpack.decode(body, type=Parcel)
        connection.execute("BEGIN")
        connection.execute("DELETE FROM work_order")
        connection.executemany(UPSERT, columns)
        connection.execute("COMMIT")

    yield step
    connection.close()
