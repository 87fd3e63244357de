"""A replica in a process of its own, for tests that kill it: writes at random and syncs, one line per step.

`python writer.py <folder> <name> <token> <host> <port> <seed> <steps>`. Every write goes into the journal;
what it writes is its own, so that the account can find it. With 0 steps it only syncs, until everything is
sent.
"""

import random
import sys
from pathlib import Path

from rightfit_server.demo.evidence import Key
from rightfit_server.demo.link import Link
from rightfit_server.demo.person import Person
from rightfit_server.domain.schema import SCHEMA
from rightfit_server.ports.replica import open_replica
from rightfit_sync.errors import RightFitError

TAGS = frozenset({"landlord"})


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def sync(person: Person) -> bool:
    """Sync once; false while the server cannot be reached, which is half of the test."""
    try:
        person.sync()
    except RightFitError as problem:
        say(f"not synced: {problem}")
        return False
    say("synced")
    return True


def write(person: Person, key: Key, chance: random.Random, mark: str) -> None:
    """Make one change of some sort, with content that nobody else writes."""
    shown = person.screen(key)
    sort = chance.choice(["title", "notes", "tags", "cost", "checklist", "comment"])
    if sort == "title":
        person.update(key, title=f"Title {mark}")
    elif sort == "notes":
        person.update(key, notes=f"{shown.get('notes') or ''} {mark}".strip())
    elif sort == "tags":
        tags = shown.get("tags")
        person.update(key, tags=[*(tags if isinstance(tags, list) else []), mark])
    elif sort == "cost":
        cost = shown.get("cost_pence")
        person.update(key, cost_pence=(cost if isinstance(cost, int) else 0) + chance.randrange(1, 1_000))
    elif sort == "checklist":
        steps = shown.get("checklist")
        item = {"id": mark, "text": f"Step {mark}", "done": False}
        person.update(key, checklist=[*(steps if isinstance(steps, list) else []), item])
    else:
        person.insert(
            "comment", {"work_order_id": key[1], "author_id": person.name, "body": f"Comment {mark}"}
        )
    say(sort)


def main() -> None:
    folder, name, token, host, port, seed, steps = sys.argv[1:]
    chance = random.Random(seed)
    path = Path(folder) / f"{name}.db"
    with (
        Link(host, int(port)) as link,
        open_replica(path, schema=SCHEMA, url=link.url, token=token) as replica,
    ):
        person = Person(name, name, TAGS, replica, path, SCHEMA, link)
        say("open")
        for step in range(int(steps)):
            orders = [
                str(row["entity_id"]) for row in replica.select("SELECT entity_id FROM work_order ORDER BY 1")
            ]
            if not orders or chance.random() < 0.3:
                sync(person)
            else:
                write(person, ("work_order", chance.choice(orders)), chance, f"{name}-{seed}-{step}")
        if not int(steps):
            while not sync(person):
                pass
        person.close()


if __name__ == "__main__":
    main()
