"""kill -9 of a replica's process at random points: nothing that was durable is lost.

Of the servers' processes: tests/proof/test_server_kill_pg.py.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightfit_server.demo.stack import Stack
from tests.end_to_end.writers import Writers, check

pytestmark = pytest.mark.xdist_group("crashes")


@pytest.fixture(params=[1, 2])
def writers(request: pytest.FixtureRequest, stack: Stack, folder: Path) -> Iterator[Writers]:
    made = Writers(stack, folder, request.param)
    yield made
    made.end_all()


def test_F03_a_replica_that_is_killed_loses_nothing(writers: Writers) -> None:
    for name in writers.names:
        writers.start(name)
    for _ in range(6):
        name = writers.chance.choice(writers.names)
        if writers.watch(name, writers.chance.randrange(1, 25)):
            writers.kill(name)
        else:
            assert writers.end(name) == 0
        writers.start(name)
    for name in writers.names:
        assert writers.end(name) == 0
    assert writers.killed
    check(writers)
