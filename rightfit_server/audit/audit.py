"""`audit`: read one tenant and report."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rightfit_server.audit.entity import Answered, findings, states
from rightfit_server.audit.reading import counter_findings, feed_findings, reading, records
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
        for (kind, entity_id), history, stored in records(connection, tenant_id):
            name = f"{kind} {entity_id}"
            found += findings(name, history, stored, schema)
            found += _payloads(name, history)
            counted.update(states(history, stored, schema))
            entities += stored is not None
            changes += len(history)
    return Report(tenant_id, changes, dict(counted), entities, found)


def _payloads(name: str, history: Sequence[Answered]) -> Iterator[Finding]:
    for one in history:
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
