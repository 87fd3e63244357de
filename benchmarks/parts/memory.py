"""Memory of each side. `python -m benchmarks.parts.memory URL TOKEN FILE` is a client that pulls: what did it take?"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from benchmarks.application import SCHEMA
from rightfit_client import Replica


def of_process(process_id: int) -> dict[str, float]:
    """Return the mebibytes of a process that are resident now, and were at most."""
    status = Path(f"/proc/{process_id}/status")
    peak = now = psutil.Process(process_id).memory_info().rss / 2**20
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        peak = int(line.split()[1]) / 1024
    return {"now": now, "peak": peak}


def of_pull(url: str, token: str, folder: Path) -> Mapping[str, float]:
    """Return what a fresh client process takes before and after it pulls everything, and at most."""
    command = [sys.executable, "-m", "benchmarks.parts.memory", url, token, str(folder / "puller.db")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


def main() -> None:
    url, token, file = sys.argv[1:]
    with Replica.open(file, schema=SCHEMA, url=url, token=token, marker=None) as replica:
        before = of_process(psutil.Process().pid)["now"]
        replica.sync()
        after = of_process(psutil.Process().pid)
    found = {"before": before, "after": after["now"], "peak": after["peak"]}
    sys.stdout.write(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
