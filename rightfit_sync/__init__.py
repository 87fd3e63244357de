"""A sync engine that cannot silently lose an edit: version vectors, three-way merge, tombstones, conflict records.

Pure: no I/O, no clock, no randomness. Start with `apply`, `conflicts` and `view`; `changes` makes changes, `replica`
runs a device over any `Store`, `ingest` decides for an authority. The semantics are in docs/explanation/semantics.md.
"""

from rightfit_sync.apply import apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import VersionVector
from rightfit_sync.changes import Stamp, create, delete, edit, resolve, restore
from rightfit_sync.conflicts import Conflict, conflicts
from rightfit_sync.join import join
from rightfit_sync.merge.policy import CONFLICT, Policy
from rightfit_sync.merge.registry import register_policy
from rightfit_sync.records import Change, Entity, LifeRecord, Outcome, Patch, Sibling
from rightfit_sync.schema.spec import Schema
from rightfit_sync.view import view

__all__ = [
    "CONFLICT",
    "Change",
    "Conflict",
    "Dot",
    "Entity",
    "LifeRecord",
    "Outcome",
    "Patch",
    "Policy",
    "Schema",
    "Sibling",
    "Stamp",
    "VersionVector",
    "apply",
    "conflicts",
    "create",
    "delete",
    "edit",
    "join",
    "register_policy",
    "resolve",
    "restore",
    "view",
]
