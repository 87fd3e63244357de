"""Rows that travel by columns (`rightfit_sync.alike`) arrive as those that travel one by one."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rightfit_sync.alike import SEAL_BYTES, Alike
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.feed import Page, Row
from rightfit_sync.packing import PackedPage, apart, by_columns, packed_rows, page_of
from rightfit_sync.records import Entity, Sibling
from rightfit_sync.state import encode_state, parted, state_of_before

TAGS = ["landlord", "office"]
names = st.sampled_from(["unit", "work_order", "k" * 150, "k" * 250, "\u00a1i\u0110"])
ids = st.uuids().map(str) | st.text(max_size=40)
entities = st.builds(
    lambda kind, entity_id, title: Entity(
        kind, entity_id, {"a": 1}, {"title": [Sibling(title, [WrittenDot("a", 1, 7)])]}
    ),
    names,
    ids,
    st.text(max_size=5),
)
any_row = st.builds(
    Row,
    seq=st.integers(1, 2**53),
    entity=entities,
    tags=st.just(TAGS) | st.sampled_from([["office"], ()]),
    orphans=st.just(()) | st.just(["unit_id"]),
    suggestions=st.just({}) | st.just({"notes": "both"}),
    seal=st.binary(min_size=SEAL_BYTES, max_size=SEAL_BYTES) | st.just(b""),
)
pages = st.lists(any_row, max_size=8, unique_by=lambda row: row.seq).map(
    lambda rows: sorted(rows, key=lambda row: row.seq)
)


def page_with(rows: Sequence[Row]) -> PackedPage:
    return PackedPage("cursor", TAGS, packed_rows(rows, TAGS))


def sent(page: PackedPage) -> Page:
    return page_of(msgspec.msgpack.decode(msgspec.msgpack.encode(page), type=PackedPage))


@given(pages)
def test_a_page_by_columns_is_the_page_of_its_rows(rows: Sequence[Row]) -> None:
    page = page_with(rows)
    assert sent(by_columns(page)) == sent(apart(page))
    assert msgspec.to_builtins(list(sent(by_columns(page)).rows)) == msgspec.to_builtins(list(rows))


def test_plain_rows_of_a_kind_become_columns_and_no_others() -> None:
    plain = [
        Row(seq, Entity("unit", str(UUID(int=seq)), {"a": 1}, {}), TAGS, seal=bytes(SEAL_BYTES))
        for seq in (3, 4, 9)
    ]
    named = Row(11, Entity("unit", "one", {"a": 1}, {}), TAGS, seal=bytes(SEAL_BYTES))
    page = by_columns(page_with([*plain, named, replace(plain[0], seq=12, orphans=["site"])]))
    (columns,) = page.alike
    assert columns.steps == [3, 1, 5]
    assert len(page.rows) == 2
    assert len(page.seals) == 2 * SEAL_BYTES


@given(entities)
def test_the_parts_of_a_state_are_all_of_it(entity: Entity) -> None:
    for state in (encode_state(entity), state_of_before(entity), encode_state(entity)[:20]):
        parts = parted(state)
        assert parts is None or b"".join(parts) == state
        assert parts is None or len(parts[1]) == len(UUID(int=0).bytes)


@pytest.mark.parametrize("wrong", ["steps", "tails", "ids", "seals"])
def test_columns_that_do_not_fit_each_other_are_refused(wrong: str) -> None:
    row = Row(3, Entity("unit", str(UUID(int=3)), {"a": 1}, {}), TAGS, seal=bytes(SEAL_BYTES))
    page = by_columns(page_with([row, replace(row, seq=4)]))
    columns: Alike = page.alike[0]
    page_of(page)
    with pytest.raises(msgspec.ValidationError):
        page_of(replace(page, alike=[replace(columns, **{wrong: getattr(columns, wrong)[:-1]})]))
