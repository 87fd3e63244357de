"""A phone in the simulated world: a device with its subject, its clock, and its line to the authority."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call
from rightfit_sync.feed import Row
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.ports import Clock, Held, Response, Session, SimulatedDevice
from rightfit_sync.testing.simulation.schedule import YEARS_10

MINUTES = 500_000
"""How far a slow or fast clock is off, in milliseconds."""

_STANDING = 1_700_000_000_000


@dataclass
class Answer:
    """What came back for a request: bytes of a response, or an error; `life` is the authority's that gave it.

    `own` are the rows that it leaves to the phone to work out, each with its place in the feed.
    """

    body: bytes
    error: RemoteError | None
    response_type: type[Response]
    life: int
    own: Mapping[Key, int] = field(default_factory=dict)


@dataclass
class Line:
    """A sync session under way: the request that waits to be carried up, or the answer that waits to come down.

    `rows` have come down in this session, each from that life of the authority, and are not taken in yet.
    """

    session: Session | None = None
    call: Call | None = None
    answer: Answer | None = None
    rows: dict[Key, tuple[Row | Held, int]] = field(default_factory=dict)
    is_cut_up: bool = False
    is_cut_down: bool = False


@dataclass
class Phone:
    """One device, by a `name` that outlives its device id."""

    name: str
    device: SimulatedDevice
    subject: str
    clock: "PhoneClock"
    line: Line = field(default_factory=Line)
    backup: object | None = None
    is_broken: bool = False
    ids_seen: str = ""

    def __str__(self) -> str:
        return self.name


class PhoneClock:
    """A clock that goes as `way` says (see `schedule.CLOCKS`) around the true time."""

    def __init__(self, true: Clock, way: str) -> None:
        self._true = true
        self._reads = 0
        self.way = way

    @property
    def is_wild(self) -> bool:
        """Whether it is off by years, or does not go on."""
        return self.way in ("behind", "ahead", "strobing", "standing")

    def __call__(self) -> int:
        """Read the clock."""
        now = self._true()
        self._reads += 1
        jump = (self._reads * 7919 % 11 - 5) * YEARS_10 // 5
        off = {"slow": -MINUTES, "fast": MINUTES, "behind": -YEARS_10, "ahead": YEARS_10, "strobing": jump}
        return _STANDING if self.way == "standing" else now + off.get(self.way, 0)
