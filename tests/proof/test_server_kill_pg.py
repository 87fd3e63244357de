"""kill -9 of the API, of all of PostgreSQL, or of both, while replicas write and sync: nothing durable is lost.

Each round begins with replicas at work in processes of their own, kills at a random moment, starts everything again,
and lets the replicas finish; the database must be sound after each, as `rightfit audit` sees it. In the end all
outboxes are drained, and every change that a person had been told was durable is accounted for from journals that are
kept outside the SDK, also those made while nothing answered.

`RIGHTFIT_KILL_ROUNDS=20` is the long run.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rightfit_server.audit.audit import audit
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.schema import SCHEMA
from tests.end_to_end.killing import Victim, kill
from tests.end_to_end.writers import Writers, check

pytestmark = pytest.mark.xdist_group("crashes")

ROUNDS = int(os.environ.get("RIGHTFIT_KILL_ROUNDS", "3"))
NAMES = ("ann", "bob", "cat")
STEPS = 40
VICTIMS: tuple[Victim, ...] = ("api", "postgres", "both")


@pytest.fixture
def writers() -> Iterator[Writers]:
    folder = Path(tempfile.mkdtemp(prefix="rightfit-test-"))
    folder.chmod(0o755)
    with Stack(folder / "server") as stack:
        made = Writers(stack, folder, 14, NAMES)
        yield made
        made.end_all()
    shutil.rmtree(folder)


@pytest.mark.timeout(300 + 60 * ROUNDS)
def test_F14_servers_killed_under_load_lose_nothing(writers: Writers) -> None:
    chance = random.Random(ROUNDS)
    for number in range(ROUNDS):
        for name in NAMES:
            writers.start(name, STEPS)
        writers.watch(chance.choice(NAMES), chance.randrange(3, STEPS))
        victim = VICTIMS[number % len(VICTIMS)]
        kill(writers.stack, victim)
        writers.stack.start()
        for name in NAMES:
            assert writers.end(name) == 0
        report = audit(writers.stack.owner_url, writers.tenant_id, SCHEMA)
        print(f"round {number + 1}: {victim} killed, {report.changes} changes, {dict(report.states)}")
        assert list(report.findings) == []
    check(writers)
