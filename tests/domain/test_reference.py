"""The reference page is the classes' own words, and every field has a reason."""

from pathlib import Path
from typing import get_args, get_type_hints

from rightfit_server.domain.reference import page, reason
from rightfit_server.domain.schema import KINDS

CHECKOUT = Path(__file__).parent.parent.parent


def test_the_page_is_what_the_classes_say() -> None:
    written = (CHECKOUT / "docs/reference/domain.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m rightfit_server.domain.reference > docs/reference/domain.md"


def test_every_field_says_why_it_merges_as_it_does() -> None:
    silent = [
        f"{name}.{field}"
        for name, cls in KINDS.items()
        for field, hint in get_type_hints(cls, include_extras=True).items()
        if not reason(hint)
    ]
    assert not silent
    items = [get_args(get_args(hint)[0])[0] for hint in _keyed_lists()]
    assert items
    assert all(reason(hint) for item in items for hint in get_type_hints(item, include_extras=True).values())


def _keyed_lists() -> list[object]:
    hints = [get_type_hints(cls, include_extras=True) for cls in KINDS.values()]
    return [one[field] for one in hints for field in one if field in ("checklist", "findings")]
