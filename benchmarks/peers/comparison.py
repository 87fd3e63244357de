"""What one comparison found, as `build/peers/<time>-<commit>.json` keeps it, and its figures as people read them."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks import results
from benchmarks.peers.playing import Run
from benchmarks.peers.roster import PEERS, versions
from benchmarks.peers.verdict import Verdict

FOLDER = results.ROOT / "build" / "peers"


class Entry(msgspec.Struct, frozen=True):
    """One peer, with its runs in the order of the rounds."""

    title: str
    versions: Mapping[str, str]
    records: int
    runs: Sequence[Run]

    def values(self, name: str) -> list[float]:
        """Return a figure's value in each round that has it."""
        return [run.figures[name] for run in self.runs if name in run.figures]

    def median(self, name: str) -> float | None:
        """Return the median of a figure, None where no round has it."""
        values = self.values(name)
        return statistics.median(values) if values else None

    def verdicts(self) -> list[Verdict]:
        """Return what became of the conflicting edits in each round that came so far."""
        return [run.verdict for run in self.runs if run.verdict is not None]

    def stopped(self) -> list[str]:
        """Return why rounds ended early."""
        return [run.stopped for run in self.runs if run.stopped is not None]

    def loads(self) -> list[float]:
        """Return the machine's load average before each round."""
        return [run.load for run in self.runs if run.load is not None]


class Comparison(msgspec.Struct, frozen=True):
    """All of one `make bench-peers`."""

    commit: str
    time: str
    machine: results.Machine
    records: int
    rounds: int
    entries: Mapping[str, Entry]

    def keep(self) -> Path:
        """Write it where the others are, and return the file."""
        return results.kept(self, FOLDER, f"{self.time.replace(':', '')}-{self.commit}")


def read(path: Path) -> Comparison:
    """Return the comparison in a file."""
    return msgspec.json.decode(path.read_bytes(), type=Comparison)


def comparison(records: int, time: str, runs: Mapping[str, Sequence[Run]]) -> Comparison:
    """Return the comparison of these runs, at the commit that is checked out."""
    return Comparison(
        commit=results.commit(),
        time=time,
        machine=results.machine(),
        records=records,
        rounds=max(len(each) for each in runs.values()),
        entries={
            name: Entry(PEERS[name].title, versions(PEERS[name]), PEERS[name].count(records), each)
            for name, each in sorted(runs.items(), key=lambda one: list(PEERS).index(one[0]))
        },
    )
