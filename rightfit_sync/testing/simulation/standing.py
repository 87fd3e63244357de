"""A text that somebody is typing stands still on the screen until all of it has been taken in, whatever a sync brings.

A run of own patches goes on from one text; were the screen to follow the authority's meanwhile, the next patch would
say that it was made on a text which nobody else ever had. (After a restore, of the authority or of the phone, a
screen may fall back on what is there until its writes have been said again: nothing is asked of it then.)
Source: docs/explanation/semantics.md, section 4.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ledger import Ledger
from rightfit_sync.testing.simulation.ledger.writes import hidden
from rightfit_sync.testing.simulation.phone import Phone
from rightfit_sync.values import Value


class Text(NamedTuple):
    """What a screen shows of one text: the writes that it waits for, how many were refused, and its siblings."""

    waiting: Sequence[int]
    refused: int
    shown: Sequence[Value]


class StandingTexts:
    """The texts with unsent writes that screens were last seen to show, by phone, record and path."""

    def __init__(self) -> None:
        self._known: dict[str, dict[tuple[Key, str], Text]] = {}

    def moved(self, phone: Phone, ledger: Ledger) -> Iterator[str]:
        """Look at the screen of a phone; yield a sentence for each text that waits for the same, and has moved."""
        found = {} if phone.is_broken else dict(_standing(phone, ledger))
        known = self._known.get(phone.name, {})
        self._known[phone.name] = found
        for (key, path), text in found.items():
            before = known.get((key, path), text)
            is_restored = ledger.life > 0 or phone.name in ledger.rewound
            if before != text and before[:2] == text[:2] and not is_restored:
                yield f"{phone}: {path} of {key[0]}/{key[1]} was {before.shown} and is {text.shown}, while it is typed"


def _standing(phone: Phone, ledger: Ledger) -> Iterator[tuple[tuple[Key, str], Text]]:
    for key, screen in ledger.screens(phone.name).items():
        writes = [write for write, _ in screen.runs if screen.own & write.bit]
        entity = phone.device.entity(key) if writes else None
        if entity is None:
            continue
        mine = [one for one in ledger.record(key).writes if one.who == phone.name]
        if any(one.was_recognised for one in mine):
            # What was known under another name leaves the screen with its receipt, and comes back with the row.
            continue
        refused = sum(one.was_refused for one in mine)
        # What was refused or given up leaves the screen, and what was built on it: sooner or later, with its receipt.
        gone = hidden(mine)
        # The texts of one write stand still together, and so do those that it shares with another.
        let_go = [write for write in writes if any(one.touches(path) for one in gone for path in write.texts)]
        standing = {path for write in writes for path in write.texts}
        for path in standing.difference(*(write.texts for write in let_go)):
            own = [one for one in mine if screen.own & one.bit and one.touches(path)]
            if own and path not in own[-1].values:
                # It went with its item, and nobody types there any more: what others do to it shows.
                continue
            waiting = [one.number for one in own]
            shown = [sibling.value for sibling in entity.fields.get(path, ())]
            yield (key, path), Text(waiting, refused, shown)
