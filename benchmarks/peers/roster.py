"""Who takes part in the comparison, with what each stores, and how long each may take.

A peer's folder here holds its `peer.mjs`; `packages` are the ones whose versions are told.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

HERE = Path(__file__).parent


class Peer(msgspec.Struct, frozen=True):
    """One product. `server` is the script in its folder, if node runs it; `records_max` shrinks the workload."""

    name: str
    title: str
    packages: tuple[str, ...] = ()
    server: str = "server.mjs"
    seconds_max: float = 120
    records_max: int | None = None

    def count(self, records: int) -> int:
        """Return how many records it is given of `records`."""
        return records if self.records_max is None else min(records, self.records_max)


PEERS = {
    peer.name: peer
    for peer in (
        # Its own benchmarks measure raw SQLite in turns with it.
        Peer("rightfit", "RightFit", seconds_max=240),
        Peer("pouchdb", "PouchDB + its server", ("pouchdb", "express-pouchdb")),
        Peer("rxdb", "RxDB replication", ("rxdb",)),
        Peer("yjs", "Yjs + Hocuspocus", ("yjs", "@hocuspocus/server", "y-leveldb")),
        Peer(
            *("automerge", "automerge-repo", ("@automerge/automerge-repo", "@automerge/automerge")),
            seconds_max=180,
        ),
        Peer("powersync", "PowerSync client", ("@powersync/node",), server="stream.mjs"),
        # 60 to 80 records a second: 10,000 would take most of the time of all.
        Peer("kinto", "Kinto", ("kinto",), seconds_max=180, records_max=3_000),
    )
}


def versions(peer: Peer) -> Mapping[str, str]:
    """Return the versions of its packages, as the lock files pin them."""
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = {name: locked[f"node_modules/{name}"]["version"] for name in peer.packages}
    if peer.name == "kinto":
        lines = (HERE / "kinto" / "requirements.lock").read_text(encoding="utf-8").splitlines()
        found["kinto (server)"] = (
            next(line for line in lines if line.startswith("kinto")).split("==")[1].split()[0]
        )
    return found
