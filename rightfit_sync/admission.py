"""What makes `apply` refuse a change: rules that need only the entity, the change and the schema.

Each refusal names the field, the value and the way out. Who may write what, references and receipts are the
authority's to check, see `ingest`.
"""

from msgspec import UNSET

from rightfit_sync import text
from rightfit_sync.causality.dot import is_authority
from rightfit_sync.causality.version_vector import includes
from rightfit_sync.limits import (
    DEVICES_PER_VECTOR_MAX,
    IDS_PER_REPLICA_MAX,
    PATCHES_PER_CHANGE_MAX,
    PATH_LENGTH_MAX,
)
from rightfit_sync.merge.policy import Policy
from rightfit_sync.merge.registry import MisplacedPathError, Rules, rules_of
from rightfit_sync.records import Change, Entity, Outcome, Patch, rejected
from rightfit_sync.schema.spec import FieldSpec, KindSpec, Schema
from rightfit_sync.schema.types import quick_tests
from rightfit_sync.values import Value, problem, text_problem


def _no(_value: Value) -> bool:
    return False


_LEGAL = quick_tests(FieldSpec(type="json"))
"""What says at first sight that a value is legal, whatever the field; of a text it does not."""


def check(entity: Entity | None, change: Change, schema: Schema) -> Outcome | None:
    """Return the refusal of `change` on `entity`, or None where it may be applied."""
    kind = schema.kinds.get(change.kind)
    if kind is None:
        return rejected(
            "schema_ahead", f"the kind {change.kind!r} is not in schema {schema.schema_version}: upgrade"
        )
    if entity is None and change.op != "create":
        return rejected(
            "unknown_entity", f"{change.kind} {change.entity_id} does not exist here: create it first"
        )
    if entity is not None and (entity.kind, entity.entity_id) != (change.kind, change.entity_id):
        return rejected("wrong_entity", f"the change names {change.kind} {change.entity_id}, not this entity")
    return _check_shape(change) or _check_base(entity, change) or _check_patches(change, kind)


def _check_shape(change: Change) -> Outcome | None:
    if change.dot.counter < 1 or not change.dot.device_id:
        return rejected("invalid_dot", f"{change.dot} names no change: counters begin at 1")
    if change.formerly is not UNSET and len(change.formerly) > IDS_PER_REPLICA_MAX:
        return rejected("invalid_dot", f"a replica has at most {IDS_PER_REPLICA_MAX} ids in its life")
    names = (change.entity_id, change.transaction_id) if change.transaction_id else (change.entity_id,)
    for name in names:
        illegal = text_problem(name)
        if illegal is not None:
            return rejected(illegal[0], f"the entity's or transaction's id: {illegal[1]}")
    if change.op in ("delete", "restore") and change.patches:
        return rejected("invalid_op", f"a {change.op} carries no patches: send them as an edit of their own")
    if change.op in ("edit", "resolve") and not change.patches:
        return rejected("invalid_op", f"this {change.op} patches nothing")
    if len(change.patches) > PATCHES_PER_CHANGE_MAX:
        return rejected(
            "too_many_patches", f"{len(change.patches)} paths, at most {PATCHES_PER_CHANGE_MAX}: split it"
        )
    return None


def _check_base(entity: Entity | None, change: Change) -> Outcome | None:
    known = {} if entity is None else entity.version_vector
    if (
        len(change.base) > DEVICES_PER_VECTOR_MAX
        or len(known) + (change.dot.device_id not in known) > DEVICES_PER_VECTOR_MAX
    ):
        return rejected(
            "too_many_devices", f"a version vector names at most {DEVICES_PER_VECTOR_MAX} devices"
        )
    for device_id, counter in change.base.items():
        if counter > known.get(device_id, 0):
            return rejected(
                "base_unknown", f"the change builds on {device_id}:{counter}, which is not known here"
            )
    for path, patch in change.patches.items():
        for dot in () if patch.replaces is UNSET else patch.replaces:
            if not includes(known, dot):
                return rejected("base_unknown", f"{path} replaces {dot}, which is not known here", path)
    return None


def _check_patches(change: Change, kind: KindSpec) -> Outcome | None:
    rules = rules_of(kind)
    if _are_fine(change, kind, rules):
        return None
    refusals = (_patch_problem(change, path, kind, rules) for path in change.patches)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _are_fine(change: Change, kind: KindSpec, rules: Rules) -> bool:
    """Whether surely nothing is to be said against any patch: each at first sight, all their texts at one look."""
    known, declared = rules.known, kind.fields
    texts: list[str] = []
    for path, patch in change.patches.items():
        policy, value, before = known.get(path), patch.value, patch.base
        test = None if policy is None else policy.takes.get(type(value))
        is_inner = path not in declared
        if before is not UNSET and not _LEGAL.get(type(before), _no)(before):
            test = None
        if (
            test is None
            or not test(value)
            or patch.ops is not UNSET
            or (is_inner and not 0 < len(path) <= PATH_LENGTH_MAX)
        ):
            if _patch_problem(change, path, kind, rules) is not None:
                return False
            continue
        if type(value) is str:
            texts.append(value)
        if type(before) is str:
            texts.append(before)
        if is_inner:
            texts.append(path)
    return text_problem("".join(texts)) is None


def _patch_problem(change: Change, path: str, kind: KindSpec, rules: Rules) -> Outcome | None:
    """Return what is to be said against one patch."""
    if path not in kind.fields and (not path or len(path) > PATH_LENGTH_MAX):
        return rejected(
            "invalid_path", f"a path has 1 to {PATH_LENGTH_MAX} characters", path[:PATH_LENGTH_MAX]
        )
    try:
        policy = rules.policy(path)
    except MisplacedPathError as misplaced:
        return rejected("invalid_path", str(misplaced), path)
    if policy.spec.merge == "server" and not is_authority(change.dot.device_id):
        return rejected("server_field", f"only the server writes {path}: leave it out", path)
    return _problem(policy, path, change.patches[path])


def _problem(policy: Policy, path: str, patch: Patch) -> Outcome | None:
    value = patch.value
    illegal = text_problem(path)
    if illegal is not None:
        shown = path.replace("\x00", "").encode(errors="ignore").decode()
        return rejected(illegal[0], illegal[1], shown)
    if value is not UNSET:
        illegal = text_problem(value) if type(value) is str else problem(value)
    if illegal is None and patch.base is not UNSET:
        illegal = problem(patch.base)
    if illegal is not None:
        return rejected(illegal[0], f"{path}: {illegal[1]}", path)
    if patch.ops is not UNSET:
        return _operation_problem(policy, path, patch)
    if value is UNSET:
        return rejected("invalid_patch", f"{path}: a patch carries a value or ops", path)
    sentence = policy.problem(value)
    return None if sentence is None else rejected("invalid_type", f"{path}: {sentence}", path)


def _operation_problem(policy: Policy, path: str, patch: Patch) -> Outcome | None:
    if not policy.freezes_view or patch.ops is UNSET or patch.value is not UNSET:
        return rejected("invalid_operation", f"{path}: ops are for texts, instead of a value", path)
    try:
        after = text.apply(text.parse(patch.ops), patch.base if isinstance(patch.base, str) else "")
    except text.TextError as mismatch:
        return rejected("invalid_operation", f"{path}: {mismatch}", path)
    illegal = problem(after)
    return None if illegal is None else rejected(illegal[0], f"{path}: {illegal[1]}", path)
