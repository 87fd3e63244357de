"""The comparison: does a replica hold exactly what the server lets its owner see?

Field by field (view tables against documents), sibling by sibling (trunk against state), conflict by
conflict, and nothing left to send. Section 1 of docs/explanation/semantics.md calls it convergence.
"""

from collections.abc import Collection

import msgspec

from rightfit_server.demo.evidence import ReplicaEvidence, ServerEvidence, without_nothing
from rightfit_sync.values import canonical


def differences(server: ServerEvidence, replica: ReplicaEvidence, tags: Collection[str]) -> list[str]:
    """Return a sentence for each way in which the replica of a holder of `tags` differs from the server."""
    visible = {key: held for key, held in server.held.items() if held.audience & frozenset(tags)}
    living = {key: held for key, held in visible.items() if not held.is_deleted}
    found = [f"{kind} {name} is missing" for kind, name in sorted(set(living) - set(replica.views))]
    found += [f"{kind} {name} should not be here" for kind, name in sorted(set(replica.views) - set(living))]
    for key in sorted(set(living) & set(replica.views)):
        ours, theirs = replica.views[key], without_nothing(living[key].document)
        unequal = [
            field
            for field in sorted({*ours, *theirs})
            if canonical(ours.get(field)) != canonical(theirs.get(field))
        ]
        found += [f"{key[0]} {key[1]}: {field} differs" for field in unequal]
        if key in replica.trunk and _form(replica.trunk[key]) != _form(living[key].entity):
            found.append(f"{key[0]} {key[1]}: what it was made of differs")
    expected = {name for key, _, name in server.open_conflicts if key in visible}
    if expected != set(replica.conflicts):
        found.append(f"{len(expected ^ set(replica.conflicts))} conflicts differ")
    if replica.pending_count:
        found.append(f"{replica.pending_count} changes were never sent")
    return found


def _form(entity: msgspec.Struct) -> bytes:
    return canonical(msgspec.to_builtins(entity))
