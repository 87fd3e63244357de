"""Which policy rules which path of a kind.

Policies are an open set: `register_policy("priority", PriorityPolicy)` makes `merge: "priority"` mean something in
every schema of the process. An application registers the same names on every replica and on the authority, before
its schema is first used. A word that is not registered is a register: the safe reading of a newer schema.

| path | rule |
|---|---|
| a declared field | its policy |
| a group's name | `group`; the members themselves cannot be patched alone |
| `tags/<element>` of a set | element of a set |
| `meta/<key>` of a map | the key's own policy |
| `items/<id>` of a keyed list | register: the position, a value that sorts; null removes the item |
| `items/<id>/<field>` | the item field's policy |
| anything unknown | register: kept untouched for readers that know it |
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from rightfit_sync.merge.counter import Counter
from rightfit_sync.merge.element import SetElement
from rightfit_sync.merge.extremum import Extremum
from rightfit_sync.merge.group import Group
from rightfit_sync.merge.once import Once
from rightfit_sync.merge.policy import Policy
from rightfit_sync.merge.text import Text
from rightfit_sync.merge.workflow import Workflow
from rightfit_sync.paths import escape, unescape
from rightfit_sync.schema.spec import CONTAINERS, FieldSpec, KindSpec

PolicyFactory = Callable[[FieldSpec], Policy]

_PATHS_REMEMBERED_MAX = 10_000
"""Inner paths (`tags/leak`) whose policy a kind's rules remember; beyond it they begin anew."""

_POLICIES: dict[str, PolicyFactory] = {
    "register": Policy,
    "server": Policy,
    "text": Text,
    "counter": Counter,
    "maximum": Extremum,
    "minimum": Extremum,
    "workflow": Workflow,
    "once": Once,
}
_ANYTHING = Policy(FieldSpec(type="json"))
_INTEGER = re.compile(r"0|-?[1-9]\d{0,15}", re.ASCII)
_ITEM_NAMES = frozenset({"id", "position"})


def register_policy(name: str, factory: PolicyFactory) -> None:
    """Make `merge: name` use the policies that `factory(field_spec)` makes; a name is taken only once."""
    if name in CONTAINERS or _POLICIES.get(name, factory) is not factory:
        raise ValueError(f"the merge policy {name!r} exists already: choose another name")
    _POLICIES[name] = factory


class MisplacedPathError(Exception):
    """A path that no patch may name; the message says which one to use instead."""


class Rules:
    """The policies of one kind, looked up by path."""

    def __init__(self, kind: KindSpec) -> None:
        self._kind = kind
        self._grouped = {member: name for name, group in kind.groups.items() for member in group.members}
        self._fields = {
            name: _policy(spec)
            for name, spec in kind.fields.items()
            if spec.merge not in CONTAINERS and name not in self._grouped
        }
        for name, group in kind.groups.items():
            self._fields[name] = Group(
                group, {member: _policy(kind.fields[member]) for member in group.members}
            )
        self._members: dict[tuple[str, str | None], Policy] = {}
        self._known = dict(self._fields)
        self._freezing = {path for path, policy in self._known.items() if policy.freezes_view}

    def policy(self, path: str) -> Policy:
        """Return the policy of `path`; raise `MisplacedPathError` for one that cannot be patched."""
        found = self._known.get(path)
        if found is None:
            found = self._inner(path)
            if len(self._known) >= _PATHS_REMEMBERED_MAX:
                self._known = dict(self._fields)
                self._freezing.intersection_update(self._fields)
            self._known[path] = found
            if found.freezes_view:
                self._freezing.add(path)
        return found

    def freezing(self, paths: Iterable[str]) -> list[str]:
        """Return those of `paths` whose policy freezes the view; what may not be patched has none."""
        return [
            path
            for path in paths
            if path in self._freezing or (path not in self._known and self._freezes(path))
        ]

    def _freezes(self, path: str) -> bool:
        try:
            return self.policy(path).freezes_view
        except MisplacedPathError:
            return False

    @property
    def known(self) -> Mapping[str, Policy]:
        """The policies looked up so far, by path; those of all declared fields are."""
        return self._known

    def spec(self, path: str) -> FieldSpec:
        """Return the declaration behind `path`."""
        return self.policy(path).spec

    def _inner(self, path: str) -> Policy:
        name, *rest = path.split("/")
        name = unescape(name)
        declared = self._kind.fields.get(name)
        if name in self._grouped:
            raise MisplacedPathError(
                f"{name} belongs to the group {self._grouped[name]}: patch the group as a whole"
            )
        if declared is None and name not in self._kind.groups:
            return _ANYTHING
        if declared is None or declared.merge not in CONTAINERS:
            raise MisplacedPathError(f"{name} has no elements: patch {name} itself")
        if len(rest) not in ((1, 2) if declared.merge == "keyed_list" else (1,)) or not all(rest):
            raise MisplacedPathError(f"{name} is a {declared.merge}: patch its elements, {name}/<element>")
        self._check_element(path, declared, rest)
        return self._member(
            name, declared, None if declared.merge == "set" else unescape(rest[-1]), len(rest)
        )

    @staticmethod
    def _check_element(path: str, declared: FieldSpec, rest: Sequence[str]) -> None:
        if "~" in path and any(escape(unescape(segment)) != segment for segment in rest):
            raise MisplacedPathError(
                f"{path} is not escaped as a path must be: write ~0 for '~' and ~1 for '/'"
            )
        if declared.merge == "set" and declared.type == "int" and not _INTEGER.fullmatch(rest[0]):
            raise MisplacedPathError(f"{rest[0]!r} is no integer in its shortest form, as this set holds")
        if len(rest) == 2 and rest[1] in _ITEM_NAMES:
            raise MisplacedPathError(
                f"every item has its {rest[1]} already: patch the item itself to move it"
            )

    def _member(self, name: str, declared: FieldSpec, key: str | None, depth: int) -> Policy:
        if declared.merge == "keyed_list" and depth == 1:
            return _ANYTHING
        if key is not None and key not in declared.fields:
            if declared.element is None:
                return _ANYTHING
            key = None
        found = self._members.get((name, key))
        if found is None:
            if declared.merge == "set":
                found = SetElement(FieldSpec(merge="set", type="bool"))
            else:
                found = _policy(
                    declared.element if key is None and declared.element else declared.fields[key or ""]
                )
            self._members[name, key] = found
        return found


def rules_of(kind: KindSpec) -> Rules:
    """Return the rules of `kind`, made once per kind."""
    cache = kind.__dict__
    found = cache.get("rules")
    if not isinstance(found, Rules):
        found = cache["rules"] = Rules(kind)
    return found


def _policy(spec: FieldSpec) -> Policy:
    return _POLICIES.get(spec.merge, Policy)(spec)
