"""The reference page of the domain, generated from the classes, so that it cannot disagree with them.

`python -m rightfit_server.domain.reference > docs/reference/domain.md` writes it; a test compares.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from rightfit_server.domain.schema import KINDS, SCHEMA
from rightfit_sync.schema.spec import FieldSpec, KindSpec

_HEAD = """# The domain: RightFit's own kinds

Generated from `rightfit_server/domain` by `python -m rightfit_server.domain.reference`. What a policy does
is in [merge rules](merge-rules.md). Every record also has `entity_id`. The landlord's staff hold the tag
`landlord`, a contractor's people `contractor:<id>`; references give and take sight, see "refers to".
"""


def page() -> str:
    """Return the whole page, Markdown."""
    return "\n".join([_HEAD, *(line for name in SCHEMA.kinds for line in _kind(name))])


def _kind(name: str) -> Iterator[str]:
    spec, cls = SCHEMA.kinds[name], KINDS[name]
    yield f"## {name}\n"
    yield f"{_module_sentence(cls)} {cls.__doc__ or ''}\n"
    yield f"Audience: {_words(spec.audience)}.\n"
    yield "| field | type | merges as | refers to | why |\n|---|---|---|---|---|"
    yield from _rows(cls, spec.fields, spec)
    yield ""
    for group, members in spec.groups.items():
        lead = f", led by `{members.lead}`" if members.lead else ""
        yield f"Group `{group}`{lead}: {_words(members.members)} change together.\n"
    for invariant, rule in spec.invariants.items():
        yield f"Invariant `{invariant}`: `{rule.rule}` over {_words(rule.fields)}.\n"


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _module_sentence(cls: type[msgspec.Struct]) -> str:
    return (sys.modules[cls.__module__].__doc__ or "").strip()


def _rows(
    cls: type[msgspec.Struct], fields: Mapping[str, FieldSpec], kind: KindSpec | None, prefix: str = ""
) -> Iterator[str]:
    hints = get_type_hints(cls, include_extras=True)
    for name, spec in fields.items():
        cells = [f"`{prefix}{name}`", _type(spec), _policy(spec), _reference(kind, name), reason(hints[name])]
        yield f"| {' | '.join(cells)} |"
        if spec.merge == "keyed_list":
            yield from _rows(_item(hints[name]), spec.fields, None, f"{prefix}{name}/")


def reason(hint: object) -> str:
    """Return the sentence that says why a field merges as it does; empty where none is given."""
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.description or "" for note in notes if isinstance(note, Meta)), "")


def _item(hint: object) -> type[msgspec.Struct]:
    item = get_args(get_args(hint)[0])[0]
    if not isinstance(item, type) or not issubclass(item, msgspec.Struct):
        raise TypeError(f"{hint} is no list of Structs")
    return item


def _type(spec: FieldSpec) -> str:
    return ", ".join(spec.choices) if spec.choices else spec.type


def _policy(spec: FieldSpec) -> str:
    if not spec.transitions:
        return f"`{spec.merge}`"
    steps = "; ".join(f"{state} → {', '.join(following)}" for state, following in spec.transitions.items())
    return f"`{spec.merge}`: {steps}"


def _reference(kind: KindSpec | None, name: str) -> str:
    reference = None if kind is None else kind.references.get(name)
    if reference is None:
        return ""
    words = [f"[{reference.kind}](#{reference.kind}), on delete `{reference.on_delete}`"]
    words += ["who sees this sees that"] if reference.lends_audience else []
    words += ["who sees that sees this"] if reference.inherits_audience else []
    return "; ".join(words)


if __name__ == "__main__":
    sys.stdout.write(page())
