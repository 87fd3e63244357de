"""The documents keep their word: links lead somewhere, examples run and print what they show, names exist.

In a Markdown file, the ```python blocks run top to bottom as one program; a ```text block right after one is
what it prints. What needs a server or a shell is written as ```console, and its `make` targets are checked.
"""

import ast
import contextlib
import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("rightfit_sync", "rightfit_server", "clients/python/rightfit_client")

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
MAKE = re.compile(r"(?:^|[`$(&;] ?|\n)make +([a-z][a-z-]*)")
SETTING = re.compile(r"\bRIGHTFIT_[A-Z][A-Z_]*[A-Z]\b")


def documents() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(ROOT / name for name in listed if (ROOT / name).is_file())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    return FENCE.sub("", text)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as hosts make them: lower case, dashes, no punctuation."""
    titles = HEADING.findall(prose(path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def examples(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Each Python block with the line it begins on, and what it is said to print."""
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        if fence[1] == "python":
            following = fences[number + 1] if number + 1 < len(fences) else None
            shown = following is not None and following[1] == "text"
            close = shown and following is not None and not text[fence.end() : following.start()].strip()
            yield (
                text[: fence.start()].count("\n") + 2,
                fence[2],
                following[2] if close and following else None,
            )


def run(program: str, line: int, file: str, names: dict[str, object]) -> str:
    output = io.StringIO()
    # Blank lines before it, so that a traceback names the line of the document.
    with contextlib.redirect_stdout(output):
        exec(compile("\n" * (line - 1) + program, file, "exec"), names)
    return output.getvalue()


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        found = (path.parent / target) if target else path
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_examples_run_and_print_what_they_show(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, program, shown in examples(path.read_text(encoding="utf-8")):
        printed = run(program, line, str(path), names)
        assert shown is None or printed == shown, f"{name_of(path)}:{line}"


def test_the_first_screen_shows_a_merge_that_runs() -> None:
    shown = [shown for _, _, shown in examples((ROOT / "README.md").read_text(encoding="utf-8"))]
    assert shown, "README.md has no Python example"
    assert shown[0], "the first example of README.md does not show what it prints"


def test_make_targets_exist() -> None:
    targets = set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = {
        (name_of(path), target) for path in documents() for target in MAKE.findall(path.read_text("utf-8"))
    }
    assert not {(file, target) for file, target in named if target not in targets}


def test_settings_are_documented() -> None:
    in_code = {
        setting
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for setting in SETTING.findall(path.read_text(encoding="utf-8"))
    }
    in_reference = {
        setting
        for path in documents()
        if path.is_relative_to(ROOT / "docs")
        for setting in SETTING.findall(path.read_text(encoding="utf-8"))
    }
    assert not in_code - in_reference, "settings that docs/ does not explain"


def public(body: list[ast.stmt], place: str) -> Iterator[tuple[str, ast.AST]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield f"{place}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{place}.{node.name}")


def test_public_names_are_explained() -> None:
    bare = [
        place
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not any(part[0] == "_" and part != "__init__.py" for part in path.relative_to(ROOT).parts)
        for place, node in public(ast.parse(path.read_text(encoding="utf-8")).body, name_of(path))
        if not ast.get_docstring(node)
        and not any(
            getattr(d, "id", getattr(d, "attr", "")) in {"overload", "setter"} for d in node.decorator_list
        )
    ]
    assert not bare


def test_readme_stays_readable() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
