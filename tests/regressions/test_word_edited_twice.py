"""Found by the simulation: one person edits a word in two places, another edits the same word in between.

`diff` took the word for replaced as a whole, so that what the other had removed was typed anew.
"""

import msgspec

from rightfit_sync import Entity, Schema, apply, view
from rightfit_sync.records import Change, Outcome
from rightfit_sync.text import diff, merge

SCHEMA = msgspec.convert(
    {"schema_version": 1, "kinds": {"note": {"fields": {"body": {"merge": "text", "on_overlap": "merge"}}}}},
    Schema,
)


def change(device_id: str, counter: int, before: str, after: str, replaces: tuple[str, int]) -> Change:
    patch = {"value": after, "base": before, "replaces": [replaces]}
    facts = {
        "dot": [device_id, counter],
        "kind": "note",
        "entity_id": "1",
        "op": "edit",
        "patches": {"body": patch},
    }
    return msgspec.convert(facts, Change)


def test_what_the_other_removed_from_a_word_stays_removed() -> None:
    create = {
        "dot": ["s", 1],
        "kind": "note",
        "entity_id": "1",
        "op": "create",
        "patches": {"body": {"value": "colour"}},
    }
    history = [
        msgspec.convert(create, Change),
        change("a", 1, "colour", "Colour", ("s", 1)),
        change("a", 2, "Colour", "Colours", ("a", 1)),
        change("b", 1, "colour", "color", ("s", 1)),
    ]
    entity: Entity | None = None
    outcomes: list[Outcome] = []
    for one in history:
        entity, outcome = apply(entity, one, SCHEMA)
        outcomes.append(outcome)
    assert entity is not None
    assert outcomes[-1].status == "merged"
    assert view(entity, SCHEMA) == {"body": "Colors"}


def test_a_word_that_was_replaced_is_still_replaced_whole() -> None:
    assert merge("brown", "green", "brown") == "green"
    assert diff("a brown dog", "a green dog") == (2, "gree", ("brow",))
    assert diff("cat", "concentration") == (1, "oncentration", ("at",))
