"""`python -m benchmarks.peers`: the same workload for every peer and RightFit, in turns; tables, chart and JSON.

Everything is kept in build/peers. With `--publish`, the tables and the chart of docs/explanation/comparison.md are
written anew: from this run, or from the file that `--from` names.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.peers.chart import svg
from benchmarks.peers.comparison import FOLDER, Comparison, comparison, read
from benchmarks.peers.playing import ROOT, Run, play
from benchmarks.peers.roster import PEERS, Peer
from benchmarks.peers.table import markdown, show

PAGE = ROOT / "docs" / "explanation" / "comparison.md"
PICTURE = PAGE.with_suffix(".svg")
LOG_COLUMNS = 140
"""How wide the tables are where nobody sees them on a screen."""

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=" ".join(PEERS), help=f"of: {' '.join(PEERS)}")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument(
        "--from", dest="file", type=Path, help="publish what this file holds, without measuring"
    )
    chosen = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    if chosen.file:
        found = read(chosen.file)
    else:
        unknown = set(chosen.peers.split()) - set(PEERS)
        if unknown:
            parser.error(f"unknown peers: {' '.join(sorted(unknown))}")
        found = measure(
            [PEERS[name] for name in chosen.peers.split()], chosen.records, chosen.rounds, console
        )
        console.print(f"Kept in {found.keep()}")
    show(found, console)
    (FOLDER / "comparison.md").write_text(markdown(found) + "\n", encoding="utf-8")
    (FOLDER / "comparison.svg").write_text(svg(found), encoding="utf-8")
    if chosen.publish:
        publish(found)


def measure(peers: Sequence[Peer], records: int, rounds: int, console: Console) -> Comparison:
    """Play all rounds; each begins with another peer."""
    runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    time = datetime.now(UTC).strftime("%Y%m%dT%H:%M:%SZ")
    for number in range(rounds):
        first = number % len(peers)
        for peer in [*peers[first:], *peers[:first]]:
            begun = datetime.now(UTC)
            with console.status(f"round {number + 1} of {rounds}: {peer.title}"):
                run = play(peer, records)
            runs[peer.name].append(run)
            spent = (datetime.now(UTC) - begun).total_seconds()
            said = f": {run.stopped}" if run.stopped else ""
            console.print(f"round {number + 1} of {rounds}: {peer.title}, {spent:.0f} s{said}", markup=False)
    return comparison(records, time, runs)


def publish(found: Comparison) -> None:
    """Write the tables into the page and the chart beside it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{markdown(found)}\n{END}{after}", encoding="utf-8")
    PICTURE.write_text(svg(found), encoding="utf-8")


if __name__ == "__main__":
    main()
