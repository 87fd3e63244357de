"""What one run of the benchmarks found, as it is kept in `build/bench/<time>-<commit>.json`."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rightfit_client.sqlite import sqlite3

ROOT = Path(__file__).parent.parent
PRODUCT = ("rightfit_sync", "rightfit_server", "clients", "requirements.lock")
FOLDER = ROOT / "build" / "bench"
HISTORY = Path(__file__).parent / "history"
"""Results that are kept for good, to draw what happened over time."""


class Machine(msgspec.Struct, frozen=True):
    """Where it ran."""

    processor: str
    cores: int
    python: str
    sqlite: str


class Result(msgspec.Struct, frozen=True):
    """`figures` holds each figure's value in every round, in order: those of one round belong together."""

    commit: str
    time: str
    records: int
    rounds: int
    machine: Machine
    figures: Mapping[str, Sequence[float]]

    def keep(self) -> Path:
        """Write it where the others are, and return the file."""
        return kept(self, FOLDER, f"{self.time.replace(':', '')}-{self.commit}")


def kept(record: msgspec.Struct, folder: Path, name: str) -> Path:
    """Write `record` as JSON that people can read, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    return path


def read(path: Path) -> Result:
    """Return the result in a file."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def result(records: int, rounds: Sequence[Mapping[str, float]]) -> Result:
    """Return the result of these rounds, at the commit that is checked out, now."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return Result(
        commit=commit(),
        time=datetime.now(UTC).strftime("%Y%m%dT%H:%M:%SZ"),
        records=records,
        rounds=len(rounds),
        machine=machine(),
        figures={name: [figures[name] for figures in rounds if name in figures] for name in names},
    )


def commit() -> str:
    """Return the commit that is checked out, with `-changed` where the product's files differ from it."""
    name = _git("rev-parse", "--short=9", "HEAD").stdout.strip()
    is_changed = _git("diff", "--quiet", "HEAD", "--", *PRODUCT).returncode != 0
    return f"{name}-changed" if is_changed else name


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def machine() -> Machine:
    """Return what this machine is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(
        processor=models[0] if models else platform.processor(),
        cores=len(models),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
    )
