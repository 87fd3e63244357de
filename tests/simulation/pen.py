"""What people type in the simulated world, drawn from a seeded source."""

from random import Random

from rightfit_sync.records import Entity
from rightfit_sync.view import shown
from tests.simulation.model import STATUS, TEXTS, Json, Key
from tests.simulation.schema import FIRST_IDEOGRAPH, FIRST_LETTER, FORBIDDEN, GROUPS, REGISTERS

OFTEN = ("notes", "log", "tags", "items")
PATHS = [*REGISTERS, *OFTEN, *OFTEN, "cost", "high", "low", "status", "serial", *GROUPS, "site_id", "clear"]


class Pen:
    """Draws values; each character of a text is typed once only, so that one can be told from another."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.is_planting = True
        self.made = 0
        self._marks = 0

    def word(self) -> str:
        self.made += 1
        return self.random.choice(["red", "blue", f"word{self.made}"])

    def marked(self, path: str, words: int) -> str:
        first = FIRST_IDEOGRAPH if path == "log" else FIRST_LETTER
        return " ".join(self._marks_from(first, self.random.randrange(1, 4)) for _ in range(words))

    def _marks_from(self, first: int, count: int) -> str:
        self._marks += count
        return "".join(chr(first + self._marks - place) for place in range(count))

    def plants(self, share: float) -> bool:
        return self.is_planting and self.random.random() < share

    def value(self, key: Key, entity: Entity) -> tuple[str, Json]:
        if self.plants(0.02):
            return "title", FORBIDDEN
        if key[0] != "job":
            if key[0] == "site" or self.random.random() < 0.6:
                return "title", self.word()
            return "site_id", self.site()
        path = self.random.choice(PATHS)
        return self._job_value(path, entity)

    def site(self) -> Json:
        return "nowhere" if self.plants(0.1) else self.random.choice(["s1", "s2"])

    def _job_value(self, path: str, entity: Entity) -> tuple[str, Json]:
        draw = self.random
        if path in TEXTS:
            return path, self._edited(path, str(shown_at(entity, path) or ""))
        if path == "tags":
            tag = f"tags/{draw.choice(['x', 'y'])}"
            return tag, None if tag in entity.fields else True
        if path == "items":
            item = f"items/{draw.choice('123')}"
            there = shown_at(entity, item) is not None
            return item, draw.choice([None, "A", "z"]) if there else draw.choice(["A", "M", "z"])
        if path == "cost":
            known = shown_at(entity, "cost")
            return path, (known if isinstance(known, int) else 0) + draw.choice([-3, 1, 1, 7])
        if path == "completion":
            return path, {"stage": draw.choice(STATUS), "by": draw.choice(["ann", "bob"])}
        if path == "schedule":
            return path, {"start": draw.randrange(3), "end": draw.randrange(3, 6)}
        if path == "clear":
            return draw.choice(["title", "meta/colour", "status"]), None
        if path in ("high", "low"):
            return path, draw.randrange(20)
        choices: dict[str, list[Json]] = {
            "status": [*STATUS, "REFUSED"],
            "serial": ["N1", "N2"],
            "site_id": [self.site()],
        }
        return path, draw.choice(choices[path]) if path in choices else self.word()

    def _edited(self, path: str, text: str) -> str:
        """Type something new somewhere, or take a few characters away, or both."""
        start = self.random.randrange(len(text) + 1)
        removed = self.random.choice([0, 0, 1, 2, 4])
        while text[start : start + 1] == " ":
            start += 1
        rest = text[start + removed :]
        return text[:start] + self.random.choice(["", " ", " "]) + self.marked(path, 1) + rest


def shown_at(entity: Entity, path: str) -> Json:
    """Return what a screen shows at `path`, null where there is nothing."""
    siblings = entity.fields.get(path)
    return shown(siblings).value if siblings else None
