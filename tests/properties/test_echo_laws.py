"""What a device works out of its own push without the merge is what the merge comes to (`rightfit_sync.echo`)."""

from hypothesis import given

from rightfit_sync import Dot, Entity, Patch, apply
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.changes import Stamp, create, edit
from rightfit_sync.echo import plainly_moved_on
from rightfit_sync.records import Sibling
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.state import encode_parts, encode_state, parts_of
from rightfit_sync.testing.histories import History, histories
from rightfit_sync.testing.strategies import schemas

SCHEMA = Schema(
    1,
    {
        "job": KindSpec(
            {
                "title": FieldSpec(type="str"),
                "notes": FieldSpec(type="str", merge="text"),
                "cost": FieldSpec(type="int", merge="counter"),
                "top": FieldSpec(type="int", merge="maximum"),
            }
        )
    },
)
any_history = schemas().flatmap(lambda schema: histories(schema, steps_max=6, joins=True))


@given(any_history)
def test_a_state_moves_on_as_its_entity_does(history: History) -> None:
    for change in history.changes:
        for entity in (None, *history.states):
            state = None if entity is None else parts_of(entity)
            plain = plainly_moved_on(state, change, history.schema)
            after, outcome = apply(entity, change, history.schema)
            if plain is not None and outcome.is_accepted:
                assert after is not None
                assert encode_parts(plain) == encode_state(after)


def job() -> Entity:
    wanted = {"title": "Boiler", "notes": "one two", "cost": 5, "top": 7}
    born, _ = apply(None, create("job", "1", wanted, Stamp(Dot("a", 1), 10), SCHEMA), SCHEMA)
    assert born is not None
    return born


def test_most_edits_are_plain() -> None:
    entity, devices = job(), ("a", "b", "0", "c")
    for counter, device_id in enumerate(devices, 2):
        wanted = {"title": f"by {device_id}", "notes": f"one {device_id} two", "cost": counter}
        change = edit(entity, wanted, Stamp(Dot(device_id, counter), 10 + counter), SCHEMA)
        assert change is not None
        plain = plainly_moved_on(parts_of(entity), change, SCHEMA)
        after, _ = apply(entity, change, SCHEMA)
        assert plain is not None
        assert after is not None
        assert encode_parts(plain) == encode_state(after)
        entity = after


def test_what_the_merge_has_a_say_in_is_left_to_it() -> None:
    entity = job()
    others = Sibling("Roof", [WrittenDot("b", 1, 5)])
    disputed = {**entity.fields, "title": [*entity.fields["title"], others]}
    change = edit(entity, {"title": "Door"}, Stamp(Dot("a", 2), 10), SCHEMA)
    higher = edit(entity, {"top": 9}, Stamp(Dot("a", 2), 10), SCHEMA)
    assert change is not None
    assert higher is not None
    unseen = {"title": Patch("Door", "Boiler", [Dot("b", 9)])}
    for one, against in (
        (higher, entity),
        (change, Entity("job", "1", {"a": 1, "b": 1}, disputed)),
        (change, Entity("job", "1", {"a": 2}, entity.fields)),
        (type(change)(change.dot, "job", "1", "edit", change.base, unseen), entity),
        (type(change)(change.dot, "else", "1", "edit", change.base, unseen), entity),
    ):
        assert plainly_moved_on(parts_of(against), one, SCHEMA) is None
