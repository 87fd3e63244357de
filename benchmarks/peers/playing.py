"""One peer plays the workload once, in processes of its own, and is stopped where it takes too long."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from benchmarks.peers.roster import HERE, Peer
from benchmarks.peers.servers import ServerError, serving
from benchmarks.peers.verdict import Shown, Verdict, judge
from benchmarks.peers.workload import workload

ROOT = HERE.parent.parent
END_SECONDS_MAX = 30.0


class Run(msgspec.Struct, frozen=True):
    """What one peer did in one round: `figures` such as `W1.per_second`, and why it ended early, if it did.

    `load` is the machine's load average before it began: what others had running.
    """

    figures: dict[str, float]
    verdict: Verdict | None = None
    stopped: str | None = None
    load: float | None = None


def play(peer: Peer, records: int) -> Run:
    """Play the workload with one peer."""
    load = os.getloadavg()[0]
    planned = workload(peer.count(records))
    with tempfile.TemporaryDirectory(prefix="rightfit-peers-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        file = planned.keep(folder / "workload.json")
        try:
            lines, stopped = _lines(peer, folder, file, len(planned.records))
        except ServerError as error:
            return Run({}, None, f"its server did not come up: {error}", load)
    figures: dict[str, float] = {}
    verdict = None
    for line in lines:
        for name, value in msgspec.json.decode(line, type=dict[str, msgspec.Raw]).items():
            if name == "conflicts":
                verdict = judge(planned.conflicts, msgspec.json.decode(value, type=Shown))
            elif name != "done":
                found = msgspec.json.decode(value, type=dict[str, float])
                figures.update({f"{name}.{field}": number for field, number in found.items()})
    return Run(figures, verdict, stopped, load)


def _lines(peer: Peer, folder: Path, file: Path, count: int) -> tuple[list[bytes], str | None]:
    """Return what its client printed, and why it ended early, if so."""
    if peer.name == "rightfit":
        return _client([sys.executable, "-m", "benchmarks.peers.rightfit", str(count)], peer.seconds_max)
    store = folder / "client"
    store.mkdir()
    with serving(peer, folder, file) as (port, process_id):
        places = [str(port), str(process_id), str(file), str(store)]
        return _client(["node", str(HERE / "client.mjs"), peer.name, *places], peer.seconds_max)


def _client(command: Sequence[str], seconds_max: float) -> tuple[list[bytes], str | None]:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said, errors = process.communicate(timeout=seconds_max)
        stopped = None if process.returncode == 0 else errors.decode(errors="replace")[-500:]
    except subprocess.TimeoutExpired:
        said = _end(process)
        stopped = f"stopped after {seconds_max:.0f} s"
    # The last line of a client that was stopped may not be whole.
    return [line for line in said.splitlines(keepends=True) if line.endswith(b"\n")], stopped


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """End a client that takes too long: as Ctrl-C does, so that it can end what it started, then for good."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        said = process.communicate(timeout=END_SECONDS_MAX)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[0]
    left = [one for one in started if one.is_running()]
    for one in left:
        one.terminate()
    for one in psutil.wait_procs(left, timeout=END_SECONDS_MAX)[1]:
        one.kill()
    return said
