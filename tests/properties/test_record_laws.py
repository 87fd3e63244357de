"""Records survive every encoding, and their JSON is plain (docs/explanation/semantics.md, section 10)."""

import importlib.util
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync import Change, Conflict, Dot, Entity, Outcome, Schema, apply, conflicts
from rightfit_sync.apply import plain_values
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.conflicts import is_surely_without
from rightfit_sync.feed import Evicted, Page, Row
from rightfit_sync.ingest.snapshot import Pushed, Receipt
from rightfit_sync.life import is_deleted
from rightfit_sync.limits import INTEGER_MAX
from rightfit_sync.records import Alias, LifeRecord, Named, Sibling, digest
from rightfit_sync.state import (
    decode_state,
    encode_settled,
    encode_state,
    read_state,
    state_of_before,
    undisputed,
)
from rightfit_sync.testing.histories import ENTITY_ID, History, histories
from rightfit_sync.testing.strategies import KIND, schemas
from rightfit_sync.values import canonical, same
from rightfit_sync.view import shown_values, undisputed_values
from rightfit_sync.wire.codec import JSON, MSGPACK, compress, decode, decompress, encode
from rightfit_sync.wire.cursor import Cursor, sign, verify
from rightfit_sync.wire.messages import Deferred, SyncRequest, SyncResponse

# zstd is optional; the core's laws hold without it, too.
maybe_compressed = st.booleans() if importlib.util.find_spec("zstandard") else st.just(value=False)

any_history = schemas().flatmap(lambda schema: histories(schema, steps_max=6, joins=True))
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-INTEGER_MAX, INTEGER_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=4),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)

_Record = TypeVar("_Record", bound=msgspec.Struct)


def assert_exact(record: _Record, record_type: type[_Record]) -> None:
    plain = msgspec.to_builtins(record)
    assert_plain(plain)
    assert json.loads(json.dumps(plain)) == plain
    assert msgspec.convert(plain, record_type) == record
    assert msgspec.convert(json.loads(json.dumps(plain)), record_type) == record
    for encoding in (msgspec.json, msgspec.msgpack):
        again = encoding.decode(encoding.encode(record), type=record_type)
        assert again == record
        assert encoding.encode(again) == encoding.encode(record)
        assert encoding.decode(encoding.encode(record)) == plain


def assert_plain(value: object) -> None:
    """Nothing but what JSON has: lists, no tuples; dicts with text keys; no Python objects."""
    assert type(value) in (dict, list, str, int, float, bool, type(None)), type(value)
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for inner in value.values():
            assert_plain(inner)
    if isinstance(value, list):
        for inner in value:
            assert_plain(inner)


@given(any_history)
def test_entities_changes_outcomes_and_conflicts_are_exact_in_json_and_messagepack(history: History) -> None:
    assert_exact(history.schema, Schema)
    for change in history.changes:
        assert_exact(change, Change)
    for state in history.states[-3:]:
        assert_exact(state, Entity)
        for found in conflicts(state, history.schema):
            assert_exact(found, Conflict)
    for step in history.steps:
        if step.outcome is not None:
            assert_exact(step.outcome, Outcome)


@given(any_history)
def test_the_one_encoding_of_an_entity_keeps_all_of_it_and_is_one(history: History) -> None:
    for entity in history.states:
        state = encode_state(entity)
        assert decode_state(state) == entity
        assert decode_state(state_of_before(entity)) == entity
        backwards = msgspec.structs.replace(
            entity,
            fields=dict(reversed(entity.fields.items())),
            version_vector=dict(reversed(entity.version_vector.items())),
            life=tuple(entity.life),
        )
        travelled = msgspec.json.decode(msgspec.json.encode(backwards), type=Entity)
        assert encode_state(backwards) == encode_state(travelled) == state
    assert len({encode_state(entity) for entity in history.states}) == len(
        {state_of_before(entity) for entity in history.states}
    )


@given(any_history)
def test_what_is_in_no_dispute_at_first_sight_is_in_none(history: History) -> None:
    for entity in history.states:
        by_path = undisputed_values(entity)
        assert undisputed(read_state(encode_state(entity))) == by_path
        if by_path is not None:
            assert by_path == shown_values(entity)
            assert not is_deleted(entity, history.schema.kinds[entity.kind])
            if is_surely_without(by_path, history.schema.kinds[entity.kind]):
                assert conflicts(entity, history.schema) == []


@given(any_history)
def test_what_one_plain_create_has_made_is_encoded_without_being_made(history: History) -> None:
    for change in history.changes:
        values = plain_values(change)
        if values is not None:
            born = apply(None, change, history.schema)[0]
            assert born is not None
            assert shown_values(born) == values
            assert encode_settled(change, values) == encode_state(born)


def test_the_one_encoding_knows_every_part_of_an_entity() -> None:
    dot, was = Dot("a", 3), Alias(Dot("b", 1), "d" * 32)
    whole = Entity(
        "k",
        "0192d7a1-7c1a-7000-8000-5b1d2f3a4c6e",
        {"a": 5, "b": 2},
        {
            "f": [Sibling("x", [WrittenDot("a", 5, 7)])],
            "g": [Sibling(1, [WrittenDot("z", 1, 0)], resolved=True)],
        },
        [LifeRecord("delete", dot, {"a": 2}, 9)],
        [Named(dot, was)],
        [Dot("a", 4)],
    )
    assert all(getattr(whole, name) not in ((), [], {}, msgspec.UNSET) for name in Entity.__struct_fields__)
    assert decode_state(encode_state(whole)) == whole
    for name in Entity.__struct_fields__:
        other = msgspec.structs.replace(whole, **{name: getattr(Entity("q", "other", {"c": 1}, {}), name)})
        assert encode_state(other) != encode_state(whole), name


@pytest.mark.parametrize("entity_id", ["", "1", "0192D7A1-7C1A-7000-8000-5B1D2F3A4C6E", "-" * 36, "0" * 36])
def test_an_id_that_is_no_uuid_in_its_usual_spelling_stays_as_it_is(entity_id: str) -> None:
    entity = Entity("k", entity_id, {"z": 1}, {"f": [Sibling("x", [WrittenDot("a", 5, 7)])]})
    assert decode_state(encode_state(entity)) == entity


def test_a_state_that_nobody_encoded_is_refused() -> None:
    good = {"k": "k", "i": "1", "v": {"a": 1}, "s": [[0, 0, 0, {}]]}
    assert decode_state(msgspec.msgpack.encode(good)).entity_id == "1"
    for bad in ({"i": 1}, {"i": b"short"}, {"s": [[1, 0, 0, {}]]}, {"s": [[-1, 0, 0, {}]]}, {"v": []}):
        with pytest.raises(msgspec.MsgspecError):
            decode_state(msgspec.msgpack.encode(good | bad))


@given(any_history, st.integers(0, 2**40), maybe_compressed)
def test_messages_are_exact_on_the_wire(history: History, seq: int, compressed: bool) -> None:
    pushed = [Pushed(change, digest(change)) for change in history.changes]
    request = SyncRequest(1, 1, pushed, cursor="c", rows_max=10)
    receipts = [
        Receipt(step.change.dot, digest(step.change), step.outcome)
        for step in history.steps
        if step.change is not None and step.outcome is not None
    ]
    page = Page(
        "next",
        ["landlord"],
        [Row(seq, history.states[-1], ["landlord"], ["ref"], {"notes": "merged"})],
        [Evicted(seq, KIND, ENTITY_ID)],
        more=True,
        remaining=3,
    )
    response = SyncResponse(1, 1, "e1", [KIND], receipts, [Deferred(Dot("a", 1), "schema_ahead")], page)
    for content_type in (MSGPACK, JSON):
        for message in (request, response):
            body = encode(message, content_type)
            if compressed and find_spec("zstandard"):
                body = decompress(compress(body))
            again = decode(body, content_type, type(message))
            assert again == message
            assert encode(again, content_type) == encode(message, content_type)


@given(any_history)
def test_apply_says_the_same_of_records_that_have_travelled(history: History) -> None:
    for step in history.steps:
        if step.before is not None and step.change is not None:
            before = msgspec.msgpack.decode(msgspec.msgpack.encode(history.states[step.before]), type=Entity)
            change = msgspec.json.decode(msgspec.json.encode(step.change), type=Change)
            after, outcome = apply(before, change, history.schema)
            assert msgspec.to_builtins(after) == msgspec.to_builtins(history.states[step.after])
            assert outcome == step.outcome
            assert digest(change) == digest(step.change)


@given(
    st.builds(
        Change,
        st.builds(Dot, st.text(max_size=3), st.integers(1, 9)),
        st.just("k"),
        st.just("1"),
        st.sampled_from(["create", "edit", "void"]),
        was=st.one_of(
            st.just(msgspec.UNSET),
            st.builds(Alias, st.builds(Dot, st.just("former"), st.integers(1, 9)), st.just("d")),
        ),
        digest=st.one_of(st.just(msgspec.UNSET), st.just("d")),
        cascade_of=st.one_of(st.just(msgspec.UNSET), st.just(["k", "2"])),
    )
)
def test_optional_keys_are_absent_or_exact(change: Change) -> None:
    assert_exact(change, Change)
    plain = msgspec.to_builtins(change)
    for key in ("was", "digest", "cascade_of", "reason"):
        assert (key in plain) == (getattr(change, key) is not msgspec.UNSET)


@given(json_values, json_values)
def test_canonical_bytes_say_what_same_says(left: object, right: object) -> None:
    assert same(left, right) == (canonical(left) == canonical(right))
    assert same(left, left)
    travelled = json.loads(json.dumps(left))
    assert same(left, travelled)
    assert canonical(travelled) == canonical(left)
    assert same(left, msgspec.msgpack.decode(msgspec.msgpack.encode(left)))


@given(st.dictionaries(st.text(max_size=3), st.integers(1, INTEGER_MAX), max_size=3))
def test_a_version_vector_is_its_own_json(vector: Mapping[str, int]) -> None:
    entity = Entity("k", "1", vector, {})
    assert msgspec.to_builtins(entity)["version_vector"] == vector
    assert_exact(entity, Entity)


@given(
    st.builds(
        Cursor,
        st.text(max_size=4),
        st.text(max_size=4),
        st.text(max_size=4),
        st.integers(0, 2**62),
        st.text(max_size=4),
        st.integers(0, 9),
        st.none() | st.integers(0, 9),
    ),
    st.binary(min_size=1),
)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor, key: bytes) -> None:
    opaque = sign(cursor, key)
    assert verify(opaque, key, tenant_id=cursor.tenant_id, device_ids=[cursor.device_id]) == cursor
    assert opaque.isascii()


def test_dots_are_arrays() -> None:
    assert msgspec.to_builtins(Dot("dev-a", 3)) == ["dev-a", 3]
    assert msgspec.to_builtins(WrittenDot("dev-a", 3, 9)) == ["dev-a", 3, 9]
