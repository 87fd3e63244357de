"""`python -m benchmarks.profiling`: where W1, W2 and W4 spend their time, function by function, on either side.

The client and the API run under cProfile, with the clock of the processor, so that waiting is left out. It makes small
functions look dearer than they are: it says where to look, not how long it takes. PostgreSQL is not seen; `make bench`
says how much of the processor it takes.
"""

import argparse
import cProfile
import io
import logging
import os
import pstats
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time, sleep

from benchmarks import syncing
from benchmarks.clock import BenchmarkError
from benchmarks.replicas import insert
from benchmarks.results import FOLDER, ROOT, commit
from benchmarks.serving import Service, rightfit_up, stage
from benchmarks.table import console
from benchmarks.workload import records

EDITS = 1_000
LINES = 30
ATTEMPTS = 200
PLACES = re.compile(rf"/\S*/site-packages/|{re.escape(str(ROOT))}/|/\S*/lib/python[\d.]+/")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    chosen = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)
    made = records(chosen.records)
    FOLDER.mkdir(parents=True, exist_ok=True)
    server = FOLDER / "server.profile"
    os.environ["RIGHTFIT_BENCH_PROFILE"] = str(server)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parent / "profiled"), os.environ.get("PYTHONPATH", "")])
    )
    pages: dict[str, str] = {}
    with stage() as folder, rightfit_up(folder) as stack:
        service = Service(stack, folder, "profiled")
        with service.replica("writer") as writer, service.replica("reader") as reader:
            insert(writer, made)
            editable = [one for one in made if one.status in syncing.TRANSITIONS][:EDITS]
            steps: Mapping[str, Callable[[], object]] = {
                "W1": writer.sync,
                "W2": reader.sync,
                "W4": lambda: syncing.conflicting(writer, reader, editable),
            }
            for workload, step in steps.items():
                stack.send(signal.SIGUSR1)
                pages[f"{workload}, client"] = profiled(step)
                stack.send(signal.SIGUSR2)
                pages[f"{workload}, API"] = taken(server)
    file = FOLDER / f"profile-{commit()}.txt"
    file.write_text("\n\n".join(f"== {name}\n{page}" for name, page in pages.items()), encoding="utf-8")
    console().print(f"Kept in {file}")


def profiled(step: Callable[[], object]) -> str:
    """Return the functions in which `step` spends the most time of its own."""
    profile = cProfile.Profile(process_time)
    profile.runcall(step)
    return shown(profile)


def taken(file: Path) -> str:
    """Return what the server's profile shows, once it is there."""
    for _ in range(ATTEMPTS):
        if file.exists():
            page = shown(str(file))
            file.unlink()
            return page
        sleep(0.05)
    raise BenchmarkError("the server wrote no profile")


def shown(profile: cProfile.Profile | str) -> str:
    page = io.StringIO()
    pstats.Stats(profile, stream=page).sort_stats("tottime").print_stats(LINES)
    return PLACES.sub("", page.getvalue()).strip()


if __name__ == "__main__":
    main()
