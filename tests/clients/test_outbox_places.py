"""Where entries stand is what a list of them says, whatever was put, dropped and put again, and after reading anew."""

from hypothesis import given
from hypothesis import strategies as st

from rightfit_client.outbox_places import Places
from rightfit_sync.causality.dot import Dot
from rightfit_sync.store import Key

_DOTS = [Dot(device_id, counter) for device_id in ("a", "b") for counter in range(1, 9)]
_KEYS: list[Key] = [("note", "1"), ("note", "2"), ("order", "1")]
_STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(_DOTS), st.sampled_from(_KEYS), st.booleans()), max_size=60
)


def read_anew(known: dict[Dot, tuple[int, Key]]) -> Places:
    places = Places()
    for dot, (position, key) in sorted(known.items(), key=lambda one: one[1][0]):
        assert places.place(position, dot, key) == position
    return places


@given(_STEPS)
def test_entries_are_found_by_dot_and_by_entity(steps: list[tuple[bool, Dot, Key, bool]]) -> None:
    places = Places()
    known: dict[Dot, tuple[int, Key]] = {}
    for is_put, dot, key, is_reopened in steps:
        position = places.find(dot)
        assert position == (known[dot][0] if dot in known else None)
        if is_put and position is None:
            position = places.append(dot, key)
            assert all(position > other for other, _ in known.values())
            known[dot] = position, key
        elif not is_put and position is not None:
            assert places.remove(position) == known.pop(dot)[1]
        if is_reopened:
            places = read_anew(known)
        assert [places.find(one) for one in _DOTS] == [known.get(one, (None,))[0] for one in _DOTS]
        for one in _KEYS:
            assert places.of([one]) == sorted(position for position, key in known.values() if key == one)
        assert set(places.keys()) == {key for _, key in known.values()}
