"""Invariants: conditions over several fields of one kind, declared by name so that a schema can travel.

A broken invariant is a conflict, computed from the values, whichever way it came about (two edits that are each
fine may break it together). Rules are an open set, see `register_rule`.

| rule | holds if |
|---|---|
| `ordered` | the values that are there, in the order of `fields`, never fall |
| `requires` | the first field is null (or is none of `options["when"]`), or all other fields are there |
| `at_most_one` | no more than one of the fields is there |
"""

from collections.abc import Callable, Mapping, Sequence

from rightfit_sync.schema.spec import InvariantSpec, KindSpec
from rightfit_sync.values import Value

InvariantRule = Callable[[Sequence[Value], Mapping[str, Value]], bool]


def _ordered(values: Sequence[Value], _options: Mapping[str, Value]) -> bool:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float)]
    return texts == sorted(texts) and numbers == sorted(numbers)


def _requires(values: Sequence[Value], options: Mapping[str, Value]) -> bool:
    when = options.get("when")
    triggered = values[0] in when if isinstance(when, list | tuple) else values[0] is not None
    return not triggered or all(value is not None for value in values[1:])


def _at_most_one(values: Sequence[Value], _options: Mapping[str, Value]) -> bool:
    return sum(value is not None for value in values) <= 1


RULES: dict[str, InvariantRule] = {"ordered": _ordered, "requires": _requires, "at_most_one": _at_most_one}


def register_rule(name: str, rule: InvariantRule) -> None:
    """Make `rule: name` mean something; the same on every replica and the authority. A name is taken only once."""
    if RULES.get(name, rule) is not rule:
        raise ValueError(f"the invariant rule {name!r} exists already: choose another name")
    RULES[name] = rule


def broken(kind: KindSpec, view: Mapping[str, Value]) -> list[tuple[str, InvariantSpec]]:
    """Return the invariants that `view` breaks, `(name, declaration)`, by name. An unknown rule holds."""
    found = []
    for name in sorted(kind.invariants):
        invariant = kind.invariants[name]
        rule = RULES.get(invariant.rule)
        if rule is not None and not rule([view.get(field) for field in invariant.fields], invariant.options):
            found.append((name, invariant))
    return found
