"""The one encoding of an entity: stored by the authority, held by replicas, sent in MessagePack, sealed and digested.

Nearly every field is settled: one sibling with one dot, no resolution. Such fields are grouped by their dot, and of
each only path and value are said. Equal entities have equal encodings::

    state   = {k: kind, i: entity_id, v: version_vector, s: [group...], f: {path: [sibling...]}, l: life, a: aliases,
               x: absent}
    group   = [device, behind, written_at, {path: value}]      sorted by dot
    device  = its place among the sorted names of the version vector, or its name where that does not hold it
    behind  = by how much the dot's counter is below that of the version vector (without one: the counter)

What would be empty is left out; an `entity_id` that is a UUID in its usual spelling is 16 bytes. `s` holds the settled
fields, `f` all others as they are. Entities of before, all keys spelled out, are still read.

Source: docs/explanation/semantics.md, section 10 ("a settled field may be sent in a shorter form").
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.records import Change, Entity, LifeRecord, Named, Sibling
from rightfit_sync.values import Value

_UUID_LENGTH: Final = 36
_UUID_BYTES: Final = 16
_KEY_OF_BEFORE: Final = b"\xa4kind"
"""What follows the first byte of an entity whose keys are spelled out."""
_ID_FOLLOWS: Final = b"\xa1i\xc4\x10"
"""The key of an id that is 16 bytes, and their number."""
_ID_PLACE_MAX: Final = 200


class _Group(msgspec.Struct, frozen=True, array_like=True, gc=False):
    device: int | str
    behind: int
    written_at: int
    values: Mapping[str, Value]


class State(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    gc=False,
    rename={
        "kind": "k",
        "entity_id": "i",
        "version_vector": "v",
        "settled": "s",
        "fields": "f",
        "life": "l",
        "aliases": "a",
        "absent": "x",
    },
):
    """A state that has been read: the parts of an entity, which is not put together yet.

    `entity_id` is as it stands in the encoding (see `id_of`).
    """

    kind: str
    entity_id: object
    version_vector: Mapping[str, int]
    settled: Sequence[_Group] = ()
    fields: Mapping[str, Sequence[Sibling]] = {}
    life: Sequence[LifeRecord] = []
    aliases: Sequence[Named] | UnsetType = UNSET
    absent: Sequence[Dot] | UnsetType = UNSET


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(State).decode
_decode_of_before = msgspec.msgpack.Decoder(Entity).decode


def encode_state(entity: Entity) -> bytes:
    """Return the encoding of `entity`."""
    return encode_parts(parts_of(entity))


def encode_parts(state: State) -> bytes:
    """Return the encoding of the entity that `state` are the parts of."""
    return _encode(state)


def parts_of(entity: Entity) -> State:
    """Return the parts of `entity`, the settled fields of each change together."""
    settled: dict[WrittenDot, dict[str, Value]] = {}
    fields: dict[str, Sequence[Sibling]] = {}
    latest: WrittenDot | None = None
    values: dict[str, Value] = {}
    for path, siblings in entity.fields.items():
        sibling = siblings[0] if len(siblings) == 1 else None
        if sibling is None or len(sibling.dots) != 1 or sibling.resolved or sibling.resolved_by is not UNSET:
            fields[path] = siblings
            continue
        dot = sibling.dots[0]
        # Fields of one change mostly share the very object.
        if dot is not latest:
            latest = dot
            values = settled.setdefault(dot, {})
        values[path] = sibling.value
    vector = entity.version_vector
    return State(
        entity.kind,
        _short(entity.entity_id),
        vector,
        [_group(dot, settled[dot], vector) for dot in (sorted(settled) if len(settled) > 1 else settled)],
        fields,
        # Whatever kind of sequence holds none, it is left out.
        entity.life or [],
        entity.aliases,
        entity.absent,
    )


def encode_settled(change: Change, values: Mapping[str, Value]) -> bytes:
    """Return the encoding of an entity that one change has made of nothing, with these values at its paths."""
    return _encode(settled_by(change, values))


def settled_by(change: Change, values: Mapping[str, Value]) -> State:
    """Return the parts of an entity that one change has made of nothing, with these values at its paths."""
    group = _Group(0, 0, change.written_at, values)
    vector = {change.dot.device_id: change.dot.counter}
    return State(change.kind, _short(change.entity_id), vector, [group] if values else [])


def _group(dot: WrittenDot, values: Mapping[str, Value], vector: Mapping[str, int]) -> _Group:
    known = vector.get(dot.device_id)
    if known is None:
        return _Group(dot.device_id, dot.counter, dot.written_at, values)
    device = sorted(vector).index(dot.device_id) if len(vector) > 1 else 0
    return _Group(device, known - dot.counter, dot.written_at, values)


def decode_state(state: bytes) -> Entity:
    """Return the entity that `state` encodes; raises `msgspec.MsgspecError` where it is none."""
    read = read_state(state)
    return entity_of(read, id_of(read))


def read_state(state: bytes) -> State:
    """Return the parts of the entity that `state` encodes; raises `msgspec.MsgspecError` where it is none.

    An id that is none is found by `id_of`.
    """
    if state[1:6] == _KEY_OF_BEFORE:
        entity = _decode_of_before(state)
        vector, fields = entity.version_vector, entity.fields
        return State(
            entity.kind, entity.entity_id, vector, (), fields, entity.life, entity.aliases, entity.absent
        )
    read = _decode(state)
    for group in read.settled:
        if isinstance(group.device, int) and not 0 <= group.device < len(read.version_vector):
            raise msgspec.ValidationError("a dot of a device that the version vector does not name")
    return read


def entity_of(read: State, entity_id: str) -> Entity:
    """Return the entity that `read` are the parts of."""
    fields: dict[str, Sequence[Sibling]] = {}
    for dot, values in settled_values(read).items():
        dots = [dot]
        for path, value in values.items():
            fields[path] = [Sibling(value, dots)]
    fields.update(read.fields)
    return Entity(read.kind, entity_id, read.version_vector, fields, read.life, read.aliases, read.absent)


def settled_values(read: State) -> dict[WrittenDot, Mapping[str, Value]]:
    """Return the settled fields of an entity, by the dot that each of them has."""
    vector = read.version_vector
    names = sorted(vector)
    found: dict[WrittenDot, Mapping[str, Value]] = {}
    for group in read.settled:
        device_id, counter = group.device, group.behind
        if isinstance(device_id, int):
            device_id = names[device_id]
            counter = vector[device_id] - counter
        found[WrittenDot(device_id, counter, group.written_at)] = group.values
    return found


def with_settled(
    read: State, vector: Mapping[str, int], settled: Mapping[WrittenDot, Mapping[str, Value]]
) -> State:
    """Return `read` with another version vector, and with these settled fields."""
    groups = [_group(dot, settled[dot], vector) for dot in sorted(settled) if settled[dot]]
    return replace(read, version_vector=vector, settled=groups)


def undisputed(read: State) -> Mapping[str, Value] | None:
    """Return the value at each path of an entity that has one at each, and was never deleted; None for any other."""
    if read.life:
        return None
    if len(read.settled) == 1 and not read.fields:
        return read.settled[0].values
    values: dict[str, Value] = {}
    for group in read.settled:
        values.update(group.values)
    for path, siblings in read.fields.items():
        if len(siblings) != 1:
            return None
        values[path] = siblings[0].value
    return values


def state_of_before(entity: Entity) -> bytes:
    """Return `entity` with all keys spelled out: what older seals were made over."""
    return msgspec.msgpack.encode(entity, order="deterministic")


def parted(state: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return what stands before the id in `state`, the id, and all that follows; None where it is no UUID.

    The three together are `state` in any case. Where only a kind stands before it, that is the same for many entities.
    """
    before = state.find(_ID_FOLLOWS, 0, _ID_PLACE_MAX)
    place = before + len(_ID_FOLLOWS)
    end = place + _UUID_BYTES
    if before < 0 or end > len(state):
        return None
    return state[:place], state[place:end], state[end:]


def _short(entity_id: str) -> str | bytes:
    if len(entity_id) == _UUID_LENGTH:
        try:
            number = bytes.fromhex(entity_id.replace("-", ""))
        except ValueError:
            return entity_id
        if len(number) == _UUID_BYTES and _long(number) == entity_id:
            return number
    return entity_id


def id_of(read: State) -> str:
    """Return the entity's id in full; raises `msgspec.ValidationError` where it is none."""
    short = read.entity_id
    if isinstance(short, bytes) and len(short) == _UUID_BYTES:
        return _long(short)
    if isinstance(short, str):
        return short
    raise msgspec.ValidationError("an entity's id is a text, or the 16 bytes of a UUID")


def _long(number: bytes) -> str:
    digits = number.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
