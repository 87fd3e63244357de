"""The performance: the stack, three devices, the story, and the verdict on it."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from rightfit_server.bootstrap import load_application
from rightfit_server.demo.accounts import Account, account
from rightfit_server.demo.comparison import differences
from rightfit_server.demo.evidence import server_evidence
from rightfit_server.demo.journal import entries_of
from rightfit_server.demo.link import Link
from rightfit_server.demo.person import Person
from rightfit_server.demo.stack import Stack
from rightfit_server.demo.story import ELECTRICIAN_ID, PLUMBER_ID, Cast, play
from rightfit_server.domain.hpd.plan import Plan
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.operations.devices import enter_device
from rightfit_server.ports.replica import open_replica
from rightfit_server.postgres.administration import create_tenant
from rightfit_server.settings import Settings

TENANT = "demo"

_CAST = (
    ("office", "The office", ["landlord"]),
    ("plumber", "The plumber", [f"contractor:{PLUMBER_ID}"]),
    ("electrician", "The electrician", [f"contractor:{ELECTRICIAN_ID}"]),
)


class Verdict(msgspec.Struct, frozen=True):
    """What became of every change, and in which ways each replica differs from the server."""

    account: Account
    differing: dict[str, list[str]]

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost and all replicas are equal to the server."""
        return not self.account.lost() and not any(self.differing.values())

    def sentence(self) -> str:
        """Return the last line of the demo."""
        equal = sum(not found for found in self.differing.values())
        replicas = (
            f"{equal} replicas"
            if equal == len(self.differing)
            else f"{equal} of {len(self.differing)} replicas"
        )
        return f"{self.account.sentence()}; {replicas} equal to the server"


@contextmanager
def stage() -> Iterator[Path]:
    """Give a folder that the database's account can reach, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="rightfit-demo-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def perform(
    stack: Stack,
    folder: Path,
    plan: Plan,
    tell: Callable[[str], None],
    sabotage: Callable[[Stack], None] | None = None,
) -> Verdict:
    """Play the story on a running stack and return the verdict.

    `sabotage` is called between the two: a demo that could not notice a loss would prove nothing.
    """
    with stack.connect() as connection:
        create_tenant(connection, TENANT, "The demo")
    with ExitStack() as exits:
        people = [exits.enter_context(_person(stack, folder, *role)) for role in _CAST]
        play(Cast(*people), plan, tell)
    if sabotage is not None:
        sabotage(stack)
    return judge(stack, people)


def judge(stack: Stack, people: Sequence[Person], tenant_id: str = TENANT) -> Verdict:
    """Return the verdict on what `people`, whose devices are put away, did to the database of `stack`."""
    server = server_evidence(stack.owner_url, tenant_id)
    replicas = {person: person.evidence() for person in people}
    kept = frozenset(dot for evidence in replicas.values() for dot in evidence.rejected)
    entries = entries_of([person.journal_path for person in people])
    differing = {person.title: differences(server, replicas[person], person.tags) for person in people}
    return Verdict(account(entries, server, kept, SCHEMA), differing)


@contextmanager
def _person(stack: Stack, folder: Path, name: str, title: str, tags: list[str]) -> Iterator[Person]:
    schema = load_application(Settings().application).schema
    token = enter_device(stack.database(), TENANT, name, tags, title)
    path = folder / f"{name}.db"
    with Link(*stack.address) as link:
        replica = open_replica(path, schema=schema, url=link.url, token=token.token)
        person = Person(name, title, frozenset(tags), replica, path, schema, link)
        try:
            yield person
        finally:
            person.close()
