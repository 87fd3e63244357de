"""The independent checker: who typed what, who had seen what, and what must be true in the end. Knows no core."""

from rightfit_sync.testing.simulation.ledger.book import Ledger
from rightfit_sync.testing.simulation.ledger.rules import Holds, Rules
from rightfit_sync.testing.simulation.ledger.verdict import Found, Verdict
from rightfit_sync.testing.simulation.ledger.writes import Json, Key, Typed, Write

__all__ = ["Found", "Holds", "Json", "Key", "Ledger", "Rules", "Typed", "Verdict", "Write"]
