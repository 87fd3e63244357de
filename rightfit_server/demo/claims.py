"""Claims: what of a person's write must still be found, field by field, and how to find it on a screen.

| field merges as | a write claims that |
|---|---|
| text | its new words are there; if it only removed some, that those are gone |
| set | what it added is there, what it removed is gone |
| keyed list | each item and each field of an item that it changed is as written |
| map | each key that it changed is as written |
| counter | its difference is part of the sum (`accounts` does the sum) |
| anything else | the value is there |

These rules know nothing of the engine's merge; they are what a person would look for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rightfit_sync.schema.spec import FieldSpec
from rightfit_sync.values import Value, same


class Claim(msgspec.Struct, frozen=True):
    """Something that must be found in the field `field`: `value` under `keys` (an element, an item's field).

    `absent`: it must not be found. `words`: `value` is a text whose words count, not its whole.
    """

    field: str
    value: Value
    keys: Sequence[str] = ()
    absent: bool = False
    words: bool = False

    @property
    def path(self) -> str:
        """The path that a conflict about it would have."""
        return "/".join([self.field, *self.keys])

    def holds(self, shown: Value) -> bool:
        """Whether a field that shows `shown` (a whole container) bears the claim out."""
        if self.words:
            return self._holds_words(shown if isinstance(shown, str) else "")
        for key in self.keys:
            shown = _element(shown, key)
        return same(shown, self.value) is not self.absent

    def _holds_words(self, text: str) -> bool:
        there, asked = Counter(text.split()), Counter(str(self.value).split())
        if self.absent:
            return not any(there[word] for word in asked)
        return all(there[word] >= count for word, count in asked.items())


def claims_of(field: str, spec: FieldSpec, saw: Value, wrote: Value) -> Iterator[Claim]:
    """Yield what a person who saw `saw` and wrote `wrote` in this field may look for."""
    if spec.merge == "text" and isinstance(saw, str | None) and isinstance(wrote, str):
        yield from _of_text(field, saw or "", wrote)
    elif spec.merge == "set":
        before, after = _elements(saw), _elements(wrote)
        yield from (Claim(field, True, [one]) for one in sorted(after - before))
        yield from (Claim(field, True, [one], absent=True) for one in sorted(before - after))
    elif spec.merge == "keyed_list":
        yield from _of_items(field, _items(saw), _items(wrote))
    elif spec.merge == "map":
        yield from _of_keys(field, saw, wrote)
    else:
        yield Claim(field, wrote)


def _of_text(field: str, saw: str, wrote: str) -> Iterator[Claim]:
    before, after = Counter(saw.split()), Counter(wrote.split())
    added, removed = after - before, before - after
    if added:
        yield Claim(field, " ".join(added.elements()), words=True)
    elif removed:
        yield Claim(field, " ".join(word for word in removed if word not in after), words=True, absent=True)


def _of_items(
    field: str, saw: Mapping[str, Mapping[str, Value]], wrote: Mapping[str, Mapping[str, Value]]
) -> Iterator[Claim]:
    for item_id, item in wrote.items():
        former = saw.get(item_id, {})
        for name, value in item.items():
            if name not in ("id", "position") and not (name in former and same(former[name], value)):
                yield Claim(field, value, [item_id, name])
    yield from (Claim(field, None, [item_id]) for item_id in saw if item_id not in wrote)


def _of_keys(field: str, saw: Value, wrote: Value) -> Iterator[Claim]:
    before = saw if isinstance(saw, Mapping) else {}
    after = wrote if isinstance(wrote, Mapping) else {}
    for key in sorted({*before, *after}):
        if not same(before.get(key), after.get(key)):
            yield Claim(field, after.get(key), [key])


def _elements(shown: Value) -> set[str]:
    return {str(element) for element in shown} if isinstance(shown, list | tuple) else set()


def _items(shown: Value) -> dict[str, Mapping[str, Value]]:
    if not isinstance(shown, list | tuple):
        return {}
    return {str(item["id"]): item for item in shown if isinstance(item, Mapping) and "id" in item}


def _element(shown: Value, key: str) -> Value:
    if isinstance(shown, Mapping):
        return shown.get(key)
    if isinstance(shown, list | tuple):
        items = _items(shown)
        if items:
            return items.get(key)
        return True if key in shown else None
    return None
