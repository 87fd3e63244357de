"""RightFit's part: `python -m benchmarks.peers.rightfit RECORDS` measures as `make bench` does, and prints JSON lines.

The figures are those of `benchmarks.syncing`, `benchmarks.saving` and `benchmarks.wire`. Afterwards the files of both
replicas and a device that was never there before show what became of the conflicting edits.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from benchmarks import saving, syncing, wire
from benchmarks.peers.verdict import Shown, Values
from benchmarks.peers.workload import Workload, edit_count, workload
from benchmarks.serving import Service, rightfit_up, stage
from benchmarks.workload import KIND
from rightfit_client import Replica

BYTES = 1e6


def main() -> None:
    # Importing the server turns on the log of every HTTP request, which an application does not have.
    logging.getLogger().setLevel(logging.WARNING)
    for name, figures in play(workload(int(sys.argv[1]))):
        sys.stdout.write(msgspec.json.encode({name: figures}).decode() + "\n")
        sys.stdout.flush()


def play(planned: Workload) -> Iterator[tuple[str, object]]:
    """Give each workload's figures as soon as they are known."""
    records, edits = planned.records, edit_count(len(planned.records))
    with stage() as folder, rightfit_up(folder) as stack:
        syncing.warm_up(Service(stack, folder, "warm"), records)
        service = Service(stack, folder, "measured")
        yield from named(syncing.measure(service, records, edits)).items()
        yield "conflicts", shown(service, [one.id for one in planned.conflicts.one])
        yield from named(saving.measure(folder, records)).items()
        counted = wire.measure(Service(stack, folder, "counted"), records, edits)
        yield "W1", {"bytes": counted["product.push_bytes"] * len(records)}
        yield "W2", {"bytes": counted["product.pull_bytes"] * len(records)}
        yield "W3", {"bytes": counted["product.edit_kilobytes"] * 1_000}
    yield "done", True


def named(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the figures of the benchmarks as the peers name theirs."""
    names = {
        "product.push": ("W1", "per_second", 1.0),
        "product.pull": ("W2", "per_second", 1.0),
        "product.edits": ("W3", "seconds", 1e-3),
        "product.conflicts": ("W4", "seconds", 1e-3),
        "product.idle.p50": ("W5", "p50_ms", 1.0),
        "product.idle.p95": ("W5", "p95_ms", 1.0),
        "product.live.p50": ("W6", "p50_ms", 1.0),
        "product.live.p95": ("W6", "p95_ms", 1.0),
        "product.save": ("W7", "each_per_second", 1.0),
        "product.batch": ("W7", "batch_per_second", 1.0),
        "product.read": ("W7", "read_per_second", 1.0),
        "sqlite.save": ("W7", "sqlite_full_per_second", 1.0),
        "sqlite.save_normal": ("W7", "sqlite_normal_per_second", 1.0),
        "product.server": ("W8", "server_megabytes", 1.0),
        "product.file": ("W8", "store_bytes", BYTES),
    }
    found: dict[str, dict[str, float]] = {}
    for name, (workload_name, field, factor) in names.items():
        if name in figures:
            found.setdefault(workload_name, {})[field] = figures[name] * factor
    return found


def shown(service: Service, ids: Sequence[str]) -> Shown:
    """Return what the files of both replicas and a fresh replica hold of these records."""
    paths = [service.folder / f"{service.tenant_id}-{name}.db" for name in ("writer", "reader")]
    with (
        Replica.open(paths[0], read_only=True) as one,
        Replica.open(paths[1], read_only=True) as other,
        service.replica("fresh") as fresh,
    ):
        fresh.sync()
        views = [view(replica, ids) for replica in (one, other, fresh)]
        kept: dict[str, list[Values]] = {entity_id: [] for entity_id in ids}
        for replica in (one, other, fresh):
            for conflict in replica.conflicts(KIND):
                values = [{conflict.path: sibling.value} for sibling in conflict.siblings]
                kept.setdefault(conflict.entity_id, []).extend(values)
    return Shown(one=views[0], other=views[1], server=views[2], kept=kept)


def view(replica: Replica, ids: Sequence[str]) -> Mapping[str, Values]:
    rows = {str(row["entity_id"]): row for row in replica.query(KIND)}
    return {each: {"title": rows[each]["title"], "status": rows[each]["status"]} for each in ids}


if __name__ == "__main__":
    main()
