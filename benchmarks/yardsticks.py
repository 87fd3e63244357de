"""Yardsticks: fixed work of the same sort as a hot path, which no change of the product makes faster or slower.

The time of a hot path divided by that of its yardstick, both taken in turns, says how fast the code is and not how fast
the machine is just now.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.floor import UPSERT, connect
from benchmarks.workload import Record, records

COUNT = 200
FIELDS_MERGED = 12
REPEATS = 4

Step = Callable[[], object]


def python() -> Step:
    """Return a three-way merge of small maps, in plain Python: dictionaries, calls, small objects."""
    base = {f"field-{number}": number for number in range(FIELDS_MERGED)}
    mine = {**base, "field-1": -1, "field-2": -2}
    theirs = {**base, "field-2": -3, "field-9": -9}
    vectors = [({"ann": number, "bob": 3}, {"ann": 2, "bob": number}) for number in range(COUNT)]

    def step() -> object:
        return [
            (_merged(base, mine, theirs), _includes(one, other))
            for _ in range(REPEATS)
            for one, other in vectors
        ]

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


def codec() -> Step:
    """Return plain records to MessagePack and back, validated."""
    made = records(COUNT)
    decoder = msgspec.msgpack.Decoder(Record)
    return lambda: [decoder.decode(msgspec.msgpack.encode(record)) for _ in range(REPEATS) for record in made]


@contextmanager
def rows(folder: Path) -> Iterator[Step]:
    """Give plain rows to write into an indexed SQLite table, after decoding them, and some Python."""
    encoded = [msgspec.msgpack.encode(record) for record in records(COUNT)]
    decoder = msgspec.msgpack.Decoder(Record)
    connection = connect(folder / "yardstick.db")
    thinking = python()

    def step() -> None:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM work_order")
        connection.executemany(UPSERT, [decoder.decode(one).columns() for one in encoded])
        connection.execute("COMMIT")
        thinking()

    yield step
    connection.close()
