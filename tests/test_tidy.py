"""The rules of the house that a machine can see. Each failure names the place.

The reasons are in docs/explanation/architecture.md.
"""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("rightfit_sync/", "rightfit_server/", "clients/python/")
TOP_LEVEL = {
    *("rightfit_sync", "rightfit_server", "clients", "tests", "benchmarks", "infra", "docs"),
    *(".ci", ".github", ".gitignore", ".pre-commit-config.yaml"),
    *("LICENSE", "Makefile", "README.md", "pyproject.toml", "requirements.lock"),
}

FILE_LINES_MAX = 500
FILE_LINES_MEDIAN_MAX = 180
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 8
MEGABYTES_MAX = 2

VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
IMPURE_MODULES = {
    *(
        "asyncio",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "sqlite3",
        "subprocess",
    ),
    *("threading", "time"),
}
IMPURE_CALLS = {
    "getrandbits",
    "now",
    "print",
    "open",
    "today",
    "token_bytes",
    "urandom",
    "utcnow",
    "uuid1",
    "uuid4",
}
# Put together here, so that this file does not find itself.
LEFT_BEHIND = re.compile(
    "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]).join([r"\b(", r")\b"])
)
ELSEWHERE = ("/wo" + "rk/", "pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "debian" + ".org")
OUTSIDE_THE_GLOSSARY = re.compile("soft" + "[- _]delet", re.IGNORECASE)


@cache
def files() -> tuple[str, ...]:
    """What is committed or would be, as paths from the root with forward slashes."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(name for name in listed if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[str]:
    return [name for name in files() if name.endswith(".py") and name.startswith(folders)]


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def texts() -> Iterator[tuple[str, str]]:
    for name in files():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def functions(name: str) -> Iterator[tuple[str, int]]:
    """Each function's place and its lines, the docstring apart: words are not what makes a function long."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = ast.get_docstring(node, clean=False) is not None
            words = (first.end_lineno or 0) - first.lineno + 1 if docstring else 0
            yield f"{name}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1 - words


def test_the_top_level_is_short() -> None:
    assert {name.split("/")[0] for name in files()} <= TOP_LEVEL


def test_files_are_short() -> None:
    lines = {
        name: len(text.splitlines())
        for name, text in texts()
        if name.endswith((".py", ".sql", ".ts", ".sh")) or name == "Makefile"
    }
    assert not {name: count for name, count in lines.items() if count > FILE_LINES_MAX}
    ours = [
        count
        for name, count in lines.items()
        if name.startswith(PACKAGES) and not name.endswith("__init__.py")
    ]
    assert statistics.median(ours) <= FILE_LINES_MEDIAN_MAX


def test_functions_are_short() -> None:
    every = {place: lines for name in python_files("") for place, lines in functions(name)}
    assert not {place: lines for place, lines in every.items() if lines > FUNCTION_LINES_MAX}
    ours = [lines for place, lines in every.items() if place.startswith(PACKAGES)]
    assert statistics.median(ours) <= FUNCTION_LINES_MEDIAN_MAX


def test_nothing_large_is_committed() -> None:
    assert not [name for name in files() if (ROOT / name).stat().st_size > MEGABYTES_MAX * 2**20]


def test_names_say_what_is_inside() -> None:
    vague = [name for name in files() if VAGUE_NAMES & set(re.split(r"[/._]", name))]
    assert not vague
    # `apply2` and `apply_old` are twins of something that should have gone.
    assert not [
        name for name in python_files(*PACKAGES) if re.search(r"(_old|_new|(?<![0-9v])[2-9])\.py$", name)
    ]


def test_init_files_only_gather() -> None:
    for name in python_files(*PACKAGES):
        if name.endswith("/__init__.py"):
            for node in tree(name).body:
                words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                names = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
                listed = names and node.targets[0].id == "__all__"
                assert words or listed or isinstance(node, ast.Import | ast.ImportFrom), (
                    f"{name}:{node.lineno}"
                )


def test_each_module_says_what_it_promises() -> None:
    assert not [name for name in python_files("") if len(ast.get_docstring(tree(name)) or "") < 20]


def test_the_core_is_pure() -> None:
    """import-linter sees modules; the calls that read a clock or draw a number are seen here."""
    found = []
    for name in python_files("rightfit_sync/"):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                )
                # The simulation draws its histories from seeds.
                allowed = {"random"} if name.startswith("rightfit_sync/testing/simulation/") else set()
                banned = IMPURE_MODULES - allowed
                found += [f"{name}:{node.lineno} {m}" for m in modules if m.split(".")[0] in banned]
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                found += [f"{name}:{node.lineno} {called}()"] if called in IMPURE_CALLS else []
    assert not found


def test_the_core_knows_no_any() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name in python_files("rightfit_sync/")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "Any" for alias in node.names)
    ]
    assert not found


def test_no_name_is_a_bare_version() -> None:
    """Of what? `schema_version`, `protocol_version`, `server_version`, …"""
    found = []
    for name in python_files(*PACKAGES):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.arg) and node.arg == "version":
                found.append(f"{name}:{node.lineno}")
            if isinstance(node, ast.ClassDef):
                fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
                found += [f"{name}:{f.lineno}" for f in fields if getattr(f.target, "id", "") == "version"]
    assert not found


def test_every_limit_is_used() -> None:
    name = "rightfit_sync/limits.py"
    limits = {
        target.id
        for node in tree(name).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    used = {
        getattr(node, "id", None) or getattr(node, "attr", None)
        for other in python_files(*PACKAGES)
        if other != name
        for node in ast.walk(tree(other))
        if isinstance(node, ast.Name | ast.Attribute)
    }
    assert limits, "the core's limits have moved: change this test along"
    assert not limits - used, "a limit that nothing obeys"


def test_nothing_is_left_behind() -> None:
    found = [
        f"{name}:{number}"
        for name, text in texts()
        if name not in {"LICENSE", "requirements.lock"}
        for number, line in enumerate(text.splitlines(), 1)
        if LEFT_BEHIND.search(line) or OUTSIDE_THE_GLOSSARY.search(line)
    ]
    assert not found


def test_nothing_depends_on_where_it_was_made() -> None:
    assert not [f"{name}: {place}" for name, text in texts() for place in ELSEWHERE if place in text]


def test_tests_wait_for_events_and_use_the_real_thing() -> None:
    found = []
    for name in python_files("tests/"):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {getattr(node, "module", None) or "", *(alias.name for alias in node.names)}
                found += (
                    [f"{name}:{node.lineno} mock"] if modules & {"unittest.mock", "mock", "fakeredis"} else []
                )
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "sleep"
            ):
                found.append(f"{name}:{node.lineno} sleep")
    assert not found


@pytest.fixture(scope="module")
def lock() -> list[str]:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def test_the_lock_file_names_no_place(lock: list[str]) -> None:
    assert not [
        line for line in lock if "://" in line or line.lstrip().startswith(("/", "--index", "--find", "-e"))
    ]
    assert not [line for line in lock if " /" in line or "file:" in line]


def test_the_lock_file_pins_and_hashes_everything(lock: list[str]) -> None:
    entries = [line for line in lock if line and not line.startswith((" ", "#"))]
    assert len(entries) > 50
    assert not [
        line for line in entries if not re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .*?)? \\$", line)
    ]
    starts = [number for number, line in enumerate(lock) if line in entries]
    assert not [lock[number] for number in starts if "--hash=sha256:" not in lock[number + 1]]


def test_scripts_can_be_run() -> None:
    assert not [name for name in files() if name == ".ci/run" and not (ROOT / name).stat().st_mode & 0o100]
