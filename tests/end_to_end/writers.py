"""Replicas in processes of their own against one stack, killed and started again, and judged in the end.

Judged by the journals that the writers keep outside the SDK, and by the audit of the database.
"""

import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rightfit_server.audit.audit import audit
from rightfit_server.demo.link import Link
from rightfit_server.demo.performance import Verdict, judge
from rightfit_server.demo.person import Person
from rightfit_server.demo.stack import Stack
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.operations.devices import enter_device
from rightfit_server.ports.replica import open_replica
from rightfit_server.postgres.administration import create_tenant

WRITER = Path(__file__).with_name("writer.py")
TAGS = frozenset({"landlord"})
STEPS = 90


class Writers:
    """Replica processes against one server; each can be killed and started again on the same file."""

    def __init__(self, stack: Stack, folder: Path, seed: int, names: Sequence[str] = ("ann", "bob")) -> None:
        self.stack = stack
        self.names = names
        self.tenant_id = f"crash{seed}"
        self.folder = folder / self.tenant_id
        self.folder.mkdir()
        self.chance = random.Random(seed)
        with stack.connect() as connection:
            create_tenant(connection, self.tenant_id)
        self.tokens = {name: self._token(name) for name in (*names, "office")}
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.killed = 0
        self._starts = 0
        self._set_the_scene()

    def _token(self, name: str) -> str:
        return enter_device(self.stack.database(), self.tenant_id, name, sorted(TAGS)).token

    def person(self, name: str, link: Link) -> Person:
        path = self.folder / f"{name}.db"
        replica = open_replica(path, schema=SCHEMA, url=link.url, token=self.tokens[name])
        return Person(name, name, TAGS, replica, path, SCHEMA, link)

    def _set_the_scene(self) -> None:
        with Link(*self.stack.address) as link:
            office = self.person("office", link)
            place = office.insert("property", {"street": "Quay Road"})
            for number in range(3):
                office.insert(
                    "work_order", {"title": f"Job {number}", "property_id": place[1], "cost_pence": 100}
                )
            office.sync()
            office.close()

    def start(self, name: str, steps: int = STEPS) -> subprocess.Popen[str]:
        self._starts += 1
        host, port = self.stack.address
        command = [sys.executable, str(WRITER), str(self.folder), name, self.tokens[name], host, str(port)]
        process = subprocess.Popen(
            [*command, str(self._starts), str(steps)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.running[name] = process
        return process

    def watch(self, name: str, lines: int) -> bool:
        """Read so many lines of a writer; return whether it is still at work."""
        output = self.running[name].stdout
        assert output is not None
        return all(output.readline() for _ in range(lines))

    def kill(self, name: str) -> None:
        """Kill a writer, which may have finished just before."""
        self.running[name].kill()
        code = self.end(name)
        assert code in (0, -signal.SIGKILL)
        self.killed += code != 0

    def end(self, name: str) -> int:
        process = self.running.pop(name)
        process.communicate()
        return process.returncode

    def end_all(self) -> None:
        """Kill whoever is still at work."""
        for name in list(self.running):
            self.running[name].kill()
            self.end(name)

    def verdict(self) -> Verdict:
        """Let everybody send and fetch everything, and judge."""
        for name in (*self.names, *self.names):
            self.start(name, 0)
            assert self.end(name) == 0
        people = []
        with Link(*self.stack.address) as link:
            for name in ("office", *self.names):
                person = self.person(name, link)
                person.sync()
                person.close()
                people.append(person)
        return judge(self.stack, people, self.tenant_id)


def check(writers: Writers) -> None:
    verdict = writers.verdict()
    assert verdict.account.lost() == []
    assert not any(verdict.differing.values()), verdict.differing
    assert len(verdict.account.fates) > 40, "too little was written to prove anything"
    report = audit(writers.stack.owner_url, writers.tenant_id, SCHEMA)
    assert list(report.findings) == []
