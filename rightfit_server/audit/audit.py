"""`audit`: read one tenant and report."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rightfit_server.audit.entity import (
    Answered,
    Joined,
    buried,
    findings,
    grave_findings,
    grave_states,
    states,
)
from rightfit_server.audit.reading import counter_findings, feed_findings, purge_findings, reading, records
from rightfit_server.audit.report import Finding, Report, State
from rightfit_sync.schema.spec import Schema


def audit(owner_url: str, tenant_id: str, schema: Schema) -> Report:
    """Return the report on one tenant; the server may go on serving meanwhile."""
    found: list[Finding] = []
    counted: Counter[State] = Counter()
    entities = changes = 0
    with reading(owner_url, tenant_id) as connection:
        found += counter_findings(connection, tenant_id)
        found += feed_findings(connection, tenant_id)
        found += purge_findings(connection, tenant_id)
        for (kind, entity_id), known in records(connection, tenant_id):
            name = f"{kind} {entity_id}"
            lives, history = buried(known.history, known.graves)
            for life, grave in lives:
                found += grave_findings(name, life, grave, schema)
                counted.update(grave_states(life))
            found += findings(name, history, known.stored, schema)
            counted.update(states(history, known.stored, schema))
            found += _payloads(name, known.history)
            entities += known.stored is not None
            changes += sum(isinstance(one, Answered) for one in known.history)
    return Report(tenant_id, changes, dict(counted), entities, found)


def _payloads(name: str, history: Sequence[Answered | Joined]) -> Iterator[Finding]:
    for one in history:
        if isinstance(one, Joined):
            continue
        change, outcome = one.change, one.outcome
        if outcome.status != "rejected":
            continue
        is_whole = (
            bool(change.patches)
            or change.op not in ("create", "edit", "resolve")
            or outcome.code == "invalid_op"
        )
        if not is_whole or not outcome.code:
            yield Finding(
                "payload", name, f"{change.dot} was rejected, and its payload or its reason is gone"
            )
