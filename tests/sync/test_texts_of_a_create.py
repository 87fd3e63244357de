"""The texts of a create are taken over from what it made: the same as if each were merged with nothing."""

from hypothesis import given
from hypothesis import strategies as st

from rightfit_sync.apply import apply, final_value
from rightfit_sync.causality.dot import Dot, WrittenDot
from rightfit_sync.field import merge_field
from rightfit_sync.merge.registry import rules_of
from rightfit_sync.outbox import Entry, Fold, frozen_paths, on_top, view_of
from rightfit_sync.records import Change, Patch
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema

_KIND = KindSpec(
    fields={
        "title": FieldSpec(type="str"),
        "body": FieldSpec(type="str", merge="text"),
        "log": FieldSpec(type="str", merge="text"),
        "items": FieldSpec(
            type="map", merge="keyed_list", fields={"words": FieldSpec(type="str", merge="text")}
        ),
    }
)
_SCHEMA = Schema(1, {"note": _KIND})
_VALUES = st.one_of(st.none(), st.text(max_size=4))
_PATCHES = st.dictionaries(
    st.sampled_from(["title", "body", "log", "items/1", "items/1/words", "items/2/words"]),
    st.builds(Patch, value=_VALUES)
    | st.builds(lambda words: Patch(ops=[words]), st.text(min_size=1, max_size=4)),
    max_size=6,
)


@given(_PATCHES)
def test_texts_of_a_create_are_those_that_it_made(patches: dict[str, Patch]) -> None:
    change = Change(Dot("a", 1), "note", "1", "create", {}, patches, 5)
    entity, outcome = apply(None, change, _SCHEMA)
    if entity is None or outcome.status == "rejected":
        return
    dot = WrittenDot("a", 1, 5)
    merged = {
        path: merge_field(
            rules_of(_KIND).policy(path), (), patches[path], final_value(patches[path]), dot, "create"
        ).siblings
        for path in frozen_paths(_KIND, change)
    }
    folded = on_top(Fold(None), Entry(change, ""), entity, _SCHEMA)
    assert folded.texts == merged
    assert folded.seen == ({} if merged else None)
    assert view_of(folded).frozen == frozenset(merged)
