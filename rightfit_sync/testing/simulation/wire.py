"""The line between a phone and the authority: HTTP-like, one request at a time, and anything may happen to it.

A request or its answer may be lost (the session ends with an error, and the next one starts afresh), a request may
arrive twice, or late, when nobody waits for its answer any more; either direction may be cut. All messages travel as
bytes.
"""

from collections.abc import Callable, Sequence
from random import Random

from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot
from rightfit_sync.echo import DIGEST_BYTES
from rightfit_sync.errors import RemoteError
from rightfit_sync.exchange import Call
from rightfit_sync.feed import Row
from rightfit_sync.records import APPLIED
from rightfit_sync.store import Key
from rightfit_sync.testing.simulation.phone import Answer, Line, Phone
from rightfit_sync.testing.simulation.ports import CrashError, DiskFullError, OfflineError, Request, Response
from rightfit_sync.testing.simulation.world import Stray, World
from rightfit_sync.wire import codec
from rightfit_sync.wire.messages import ReconcileResponse, SyncRequest, SyncResponse

_DISAGREES = 8
"""Of how many answers that leave rows to the phone one finds it coming to something else than the authority."""

EXPECTED_CODES = frozenset(
    {"counter_gap", "epoch_changed", "device_cloned", "cursor_expired", "cursor_foreign"}
)
"""What an authority may say to a device that did nothing wrong."""


def advance(world: World, phone: Phone, random: Random) -> None:
    """Let one thing happen on a phone's line: a session begins, a request goes up, an answer comes down."""
    line = phone.line
    if line.session is None:
        begin(world, phone)
    elif line.answer is None:
        _carry_up(world, phone, line, random)
    else:
        _carry_down(world, phone, line, random)


def begin(world: World, phone: Phone) -> None:
    """Begin a sync session."""
    session = phone.device.repair() if phone.is_broken else phone.device.session()
    phone.line.session = session
    phone.line.rows.clear()
    _step(world, phone, lambda: next(session))


def _carry_up(world: World, phone: Phone, line: Line, random: Random) -> None:
    plan = world.plan
    if line.is_cut_up:
        if random.random() < 0.3:
            lose(world, phone, is_late=True)
        return
    if random.random() < plan.loss:
        world.happened("F01")
        lose(world, phone)
    elif random.random() < plan.delay:
        lose(world, phone, is_late=True)
    else:
        deliver(world, phone)
        if line.call is not None and random.random() < plan.repetition:
            world.happened("F01")
            world.say(f"{phone}: the request arrives a second time")
            answer(world, phone, line.call.request)


def _carry_down(world: World, phone: Phone, line: Line, random: Random) -> None:
    if line.is_cut_down:
        if random.random() < 0.3:
            lose_answer(world, phone)
    elif random.random() < world.plan.loss:
        lose_answer(world, phone)
    else:
        receive(world, phone)


def deliver(world: World, phone: Phone) -> None:
    """Carry the waiting request to the authority, and keep its answer on the way."""
    call = phone.line.call
    if call is not None:
        phone.line.answer = answer(world, phone, call.request)


def answer(world: World, phone: Phone, request: Request) -> Answer:
    """Let the authority answer a request, as bytes both ways."""
    body = codec.encode(request)
    world.trace(body)
    if request.schema_version != world.schema_version:
        world.happened("F12")
    response_type = SyncResponse if isinstance(request, SyncRequest) else ReconcileResponse
    try:
        decoded = codec.decode(body, codec.MSGPACK, type(request))
        response = world.authority.answer(phone.device.token, decoded, world.tick())
    except RemoteError as error:
        world.watch()
        world.say(f"{phone} is told {error.code}")
        world.counts["outcomes"][error.code] += 1
        if error.code not in EXPECTED_CODES:
            world.wrong(f"{phone} is told {error.code}: {error}")
        return Answer(b"", error, response_type, world.ledger.life)
    world.watch()
    own = _own_of(decoded, response)
    world.counts["acts"]["row left to the phone"] += len(own)
    sent = codec.encode(response)
    if own and sent[-1] % _DISAGREES == 0:
        sent = codec.encode(_disagreeing(response))
        world.counts["acts"]["row asked for after all"] += len(own)
    world.trace(sent)
    return Answer(sent, None, response_type, world.ledger.life, own)


def _disagreeing(response: Response) -> Response:
    """Return the answer of an authority that made something else of what it leaves to the phone."""
    if not isinstance(response, SyncResponse) or response.page is None:
        return response
    return replace(response, page=replace(response.page, own_digest=bytes(DIGEST_BYTES)))


def lose(world: World, phone: Phone, *, is_late: bool = False) -> None:
    """The waiting request does not arrive, or `is_late`: when nobody waits for the answer any more."""
    line = phone.line
    if is_late and line.call is not None:
        request = line.call.request
        world.strays.append(Stray(phone, codec.encode(request), type(request)))
    world.say(f"{phone}: its request is {'late' if is_late else 'lost'}")
    _fail(world, phone, OfflineError())


def lose_answer(world: World, phone: Phone) -> None:
    """The answer gets lost, after whatever the authority has committed."""
    call = phone.line.call
    is_push = call is not None and isinstance(call.request, SyncRequest) and bool(call.request.changes)
    world.happened("F02" if is_push else "F01")
    world.say(f"{phone}: the answer is lost")
    _fail(world, phone, OfflineError())


def receive(world: World, phone: Phone) -> None:
    """Carry the waiting answer to the phone."""
    line = phone.line
    got = line.answer
    if got is None:
        return
    if got.error is not None:
        _note_healing(world, got.error)
        _fail(world, phone, got.error)
        return
    response = codec.decode(got.body, codec.MSGPACK, got.response_type)
    session = line.session
    if session is not None:
        _step(world, phone, lambda: session.send(response), response, got)


def _own_of(request: Request, response: Response) -> dict[Key, int]:
    """Return the rows that an answer leaves to the phone to work out, each with its place in the feed."""
    if not (isinstance(request, SyncRequest) and isinstance(response, SyncResponse) and response.page):
        return {}
    changes = [pushed.change for pushed in request.changes]
    return {(changes[one.place].kind, changes[one.place].entity_id): one.seq for one in response.page.own}


def _note_healing(world: World, error: RemoteError) -> None:
    if error.code == "cursor_expired":
        world.happened("F10")
    if error.code in ("epoch_changed", "counter_gap"):
        world.happened("F08")
    if error.code == "device_cloned":
        world.happened("F05")


def _fail(world: World, phone: Phone, error: RemoteError) -> None:
    session = phone.line.session
    if session is not None:
        _step(world, phone, lambda: session.throw(error))


def _step(
    world: World,
    phone: Phone,
    step: Callable[[], Call],
    response: Response | None = None,
    got: Answer | None = None,
) -> None:
    """Let a session take one step, and look at what the phone holds then, however the step ended."""
    line = phone.line
    line.call = line.answer = None
    try:
        line.call = step()
    except StopIteration:
        phone.is_broken = False
        line.session = None
    except RemoteError as error:
        line.session = None
        if error.code not in EXPECTED_CODES and error.code != "offline":
            world.wrong(f"{phone} gives up a sync: {error.code}: {error}")
    except DiskFullError:
        world.happened("F06")
        world.say(f"{phone}: the disk is full while it syncs")
        line.session = None
    except CrashError as crash:
        world.happened("F04" if str(crash).endswith("commit") else "F03")
        world.say(f"{phone} dies while it syncs ({crash})")
        # What of the answer it has taken in is looked at below, with the answer at hand.
        reboot(phone)
    look(world, phone, response, got)


def look(world: World, phone: Phone, response: Response | None = None, got: Answer | None = None) -> None:
    """Tell the ledger what has become of a phone's screen, with the answer that it has just had."""
    life = 0 if got is None else got.life
    world.note_names(phone)
    rows: Sequence[Row] = ()
    answered: list[tuple[Dot, str]] = []
    applied: list[tuple[Dot, str]] = []
    if isinstance(response, SyncResponse):
        rows = response.page.rows if response.page is not None else ()
        for receipt in response.receipts:
            is_applied = receipt.outcome.status in APPLIED
            (applied if is_applied else answered).append((receipt.dot, receipt.digest))
    elif response is not None:
        rows = response.rows
    for row in rows:
        phone.line.rows[row.entity.kind, row.entity.entity_id] = (row, life)
    own = {} if got is None else got.own
    for key, held in phone.device.rows(own).items():
        if held.seq == own[key]:
            phone.line.rows[key] = (held, life)
    is_of_lost_past = response is not None and life != world.ledger.life
    world.survey(phone, is_of_lost_past=is_of_lost_past)
    world.leave(phone, answered)
    world.come_back(phone, applied)
    for sentence in world.standing.moved(phone, world.ledger):
        world.wrong(sentence)


def restart(world: World, phone: Phone) -> None:
    """The phone starts again from what is durable."""
    reboot(phone)
    look(world, phone)


def reboot(phone: Phone) -> None:
    """Start a phone again, and look at nothing yet: it may hold a write that the ledger has still to be told."""
    line = phone.line
    if line.session is not None:
        line.session.close()
    line.session = line.call = line.answer = None
    phone.device.crash()


def deliver_stray(world: World, place: int) -> None:
    """A late request arrives; its answer goes nowhere."""
    if world.strays:
        stray = world.strays.pop(place % len(world.strays))
        world.happened("F01")
        world.say(f"{stray.phone}: a late request arrives")
        answer(world, stray.phone, codec.decode(stray.body, codec.MSGPACK, stray.request_type))
