"""What several benchmarks do with replicas: fill them, count what they show, keep them in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.workload import KIND, Record
from rightfit_client import Replica

MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one."""

_COUNT = f"SELECT count(*) AS count FROM {KIND}"


def insert(replica: Replica, records: Sequence[Record]) -> None:
    """Make records, durable at once, each accepted or rejected on its own."""
    with replica.batch():
        for record in records:
            replica.insert(KIND, record.values(), entity_id=record.id)


def count(replica: Replica) -> object:
    """Return how many records the replica shows."""
    return replica.select(_COUNT)[0]["count"]


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Give a folder in memory, where there is such a place: disks are measured elsewhere."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)
