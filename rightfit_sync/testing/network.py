"""A network that may lose, repeat, reorder and delay whatever is sent, as a seeded source of chance says.

Nothing happens by itself: a message waits on the wire until `deliver` picks it, so one seed replays one history.
With `calm()` the wire becomes reliable and orderly, and what is still on it arrives.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

_T = TypeVar("_T")


class Chance(Protocol):
    """The part of `random.Random` that is used; the caller seeds it."""

    def random(self) -> float:
        """Return a number from 0 up to 1."""

    def randrange(self, stop: int, /) -> int:
        """Return an integer from 0 up to `stop`."""


class Message(msgspec.Struct, frozen=True):
    """Bytes on the wire."""

    sender: str
    recipient: str
    body: bytes


class FakeNetwork:
    """The wire between named ends. `loss` and `repetition` are probabilities, judged at each delivery."""

    def __init__(self, chance: Chance, *, loss: float = 0.1, repetition: float = 0.1) -> None:
        self._chance = chance
        self._loss = loss
        self._repetition = repetition
        self._is_calm = False
        self._partitioned: set[tuple[str, str]] = set()
        self._wire: list[Message] = []

    def __len__(self) -> int:
        return len(self._wire)

    def send(self, sender: str, recipient: str, body: bytes) -> None:
        """Put a message on the wire."""
        self._wire.append(Message(sender, recipient, body))

    def calm(self) -> None:
        """From now on lose, repeat and reorder nothing, and heal all partitions."""
        self._is_calm = True
        self._partitioned.clear()

    def cut(self, sender: str, recipient: str) -> None:
        """Hold back all messages in this one direction, until `calm` or `heal`."""
        self._partitioned.add((sender, recipient))

    def heal(self, sender: str, recipient: str) -> None:
        """Undo `cut`."""
        self._partitioned.discard((sender, recipient))

    def deliver(self) -> Message | None:
        """Take one message off the wire, in any order; None where it was lost or nothing can move."""
        moving = [
            place
            for place, message in enumerate(self._wire)
            if (message.sender, message.recipient) not in self._partitioned
        ]
        if not moving:
            return None
        if self._is_calm:
            return self._wire.pop(moving[0])
        place = _chosen(moving, self._chance)
        if self._chance.random() < self._repetition:
            return self._wire[place]
        message = self._wire.pop(place)
        return None if self._chance.random() < self._loss else message


def _chosen(options: Sequence[_T], chance: Chance) -> _T:
    return options[chance.randrange(len(options))]
