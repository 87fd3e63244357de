"""The table of what was planted, and what gave it away: printed at the end, whichever process found it."""

import pytest

from tests.planted.finding import Finding

WORDS_MAX = 100


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("passed")
    found = [Finding(*value) for one in reports for name, value in one.user_properties if name == "finding"]
    if not found:
        return
    terminalreporter.section(f"{len(found)} planted bugs, and what gave each away")
    for one in sorted(found, key=lambda one: one.seed):
        sentence = one.sentence[:WORDS_MAX]
        terminalreporter.write_line(f"seed {one.seed:>3}  {one.seconds:>5.1f} s  {one.bug}: {sentence}")
