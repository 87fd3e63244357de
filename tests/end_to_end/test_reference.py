"""The page about the commands is the commands' own words."""

from pathlib import Path

from rightfit_server.entrypoints.reference import page

CHECKOUT = Path(__file__).parent.parent.parent


def test_the_page_is_what_the_commands_say() -> None:
    written = (CHECKOUT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert written == page(), (
        "run: python -m rightfit_server.entrypoints.reference > docs/reference/commands.md"
    )
