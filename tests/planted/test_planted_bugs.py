"""Each planted bug is found by the simulator within 200 seeds; without one, nothing is.

`RIGHTFIT_PLANTED=all` plants them all (`make planted`), two at a time in about five minutes, and prints the table; by
default a few are planted, so that the machinery is tried.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rightfit_sync
from tests.planted.bugs import BUGS, Bug
from tests.planted.finding import Finding

SEEDS_MAX = 200
OPS = 300
SOURCE = Path(rightfit_sync.__file__).parent
HUNT = Path(__file__).with_name("hunt.py")
IS_ALL = os.environ.get("RIGHTFIT_PLANTED") == "all"
PLANTED = BUGS if IS_ALL else BUGS[:25:6]


def hunted(root: Path, last: int) -> str:
    """Return what a hunt found with the source under `root`."""
    done = subprocess.run(
        [sys.executable, HUNT, "0", str(last), str(OPS)],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_still_fits_the_source(bug: Bug) -> None:
    text = (SOURCE / bug.file).read_text()
    assert text.count(bug.right) == 1, f"{bug.file} holds it {text.count(bug.right)} times"
    compile(text.replace(bug.right, bug.wrong), bug.file, "exec")


def test_without_a_bug_nothing_is_found() -> None:
    assert not hunted(SOURCE.parent, SEEDS_MAX if IS_ALL else 20)


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_the_simulator_finds(
    bug: Bug, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    shutil.copytree(SOURCE, tmp_path / "rightfit_sync", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "rightfit_sync" / bug.file
    file.write_text(file.read_text().replace(bug.right, bug.wrong))
    start = time.monotonic()
    found = hunted(tmp_path, SEEDS_MAX)
    assert found, f"{bug.name}: {SEEDS_MAX} seeds found nothing"
    seed, _, sentence = found.partition("\t")
    record_property("finding", tuple(Finding(bug.name, int(seed), time.monotonic() - start, sentence)))
