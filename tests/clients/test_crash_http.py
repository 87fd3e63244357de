"""F03: the client is killed -9 at any moment while it writes and syncs with an authority elsewhere."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rightfit_client import Replica
from rightfit_client.testing import HttpAuthority

ROUNDS = 12

WRITER = """
import json, sys
from rightfit_client import Replica

path, url, token, counter_id = sys.argv[1:]
replica = Replica.open(path, url=url, token=token)
replica.start()
while True:
    with replica.transaction():
        pair = [replica.insert("work_order", title="left"), replica.insert("work_order", title="right")]
    print(json.dumps({"pair": pair}), flush=True)
    cost = replica.get("work_order", counter_id)["cost_pence"]
    replica.update("work_order", counter_id, {"cost_pence": cost + 1, f"tags/{cost + 1}": True})
    print(json.dumps({"cost": cost + 1}), flush=True)
    if cost % 7 == 0:
        replica.delete("work_order", pair[0])
        print(json.dumps({"deleted": pair[0]}), flush=True)
"""


class Promised:
    """What the SDK has called durable, as the writer told it before it was killed."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.deleted: set[str] = set()
        self.cost = 0

    def hear(self, line: str) -> None:
        if not line.endswith("\n"):
            return
        said = json.loads(line)
        self.present.update(said.get("pair", ()))
        self.deleted.update([said["deleted"]] if "deleted" in said else ())
        self.cost = max(self.cost, said.get("cost", 0))

    def check(self, replica: Replica, counter_id: str) -> None:
        rows = {row["entity_id"]: row for row in replica.query("work_order")}
        # A delete may have been made durable in the moment before it could be told.
        missing = self.present - self.deleted - rows.keys()
        assert len(missing) <= 1
        assert not self.deleted & rows.keys()
        self.deleted |= missing
        counted = rows[counter_id]
        assert counted["cost_pence"] in (self.cost, self.cost + 1)
        assert len(counted["tags"]) == counted["cost_pence"]  # type: ignore[arg-type]
        self.cost = int(str(counted["cost_pence"]))
        # Of what was not told, a transaction is there whole or not at all.
        assert len(rows.keys() - self.present - {counter_id}) in (0, 2)
        self.present |= rows.keys() - {counter_id}


def test_F03_a_client_killed_at_any_moment_keeps_every_acknowledged_edit(
    open_replica: Callable[..., Replica],
    authority: HttpAuthority,
    serve: Callable[[], str],
    make_token: Callable[..., str],
) -> None:
    chance = random.Random(3)
    url = serve()
    replica = open_replica("dev-a", url=url, transport=None)
    counter_id = replica.insert("work_order", title="counter", cost_pence=0)
    replica.close()
    promised = Promised()
    command = [sys.executable, "-c", WRITER, str(replica.path), url, make_token("dev-a"), counter_id]
    for _ in range(ROUNDS):
        kill_after(command, chance.randrange(1, 60), promised)
        with Replica.open(replica.path) as reopened:
            promised.check(reopened, counter_id)
            # What is shown is in the outbox or known to the authority; nothing is shown by chance.
            assert all(finding.holds for finding in reopened.examine())
    with Replica.open(replica.path, url=url, token=make_token("dev-a")) as reopened:
        reopened.sync()
        assert reopened.pending() == reopened.rejected() == reopened.conflicts() == []
        promised.check(reopened, counter_id)
        assert len(promised.present) > ROUNDS
        check_equal(reopened, authority)


def kill_after(command: list[str], lines: int, promised: Promised) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            line = writer.stdout.readline()
            assert line, "the writer has ended by itself"
            promised.hear(line)
        os.kill(writer.pid, signal.SIGKILL)
        for line in writer.stdout:
            promised.hear(line)


def check_equal(replica: Replica, authority: HttpAuthority) -> None:
    assert all(finding.holds for finding in replica.examine())
    shown = replica.select("select seq, entity_id from rightfit_trunk order by seq")
    held = sorted((held.seq, held.entity.entity_id) for held in authority.memory.held.values())
    assert [(row["seq"], row["entity_id"]) for row in shown] == held
    counters = [recorded.change.dot.counter for recorded in authority.memory.history]
    assert counters == list(range(1, len(counters) + 1))


def test_F03_a_client_killed_in_the_middle_of_a_pull_resumes(
    open_replica: Callable[..., Replica],
    authority: HttpAuthority,
    serve: Callable[[], str],
    make_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    chance = random.Random(5)
    url = serve()
    ann = open_replica("dev-a")
    with ann.batch():
        for number in range(6_000):
            ann.insert("property", address=str(number))
    ann.sync()
    bob = open_replica("dev-b", url=url, transport=None)
    bob.close()
    puller = """
import sys
from rightfit_client import Replica
with Replica.open(sys.argv[1], url=sys.argv[2], token=sys.argv[3]) as replica:
    replica.sync(lambda progress: print(progress.pulled, flush=True))
"""
    command = [sys.executable, "-c", puller, str(bob.path), url, make_token("dev-b")]
    held = 0
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = [child.stdout.readline() for _ in range(chance.randrange(1, 3))]
            os.kill(child.pid, signal.SIGKILL)
            told += child.stdout.readlines()
        with Replica.open(bob.path, read_only=True) as reader:
            now = reader.select("select count(*) as n from property")[0]["n"]
        # It resumes where it stopped: what it told was durable, and is not fetched again.
        assert isinstance(now, int)
        assert now >= held + max(int(line) for line in told if line.strip())
        held = now
    with Replica.open(bob.path, url=url, token=make_token("dev-b")) as reopened:
        assert reopened.sync().pulled == 6_000 - held
        assert len(reopened.query("property")) == 6_000
