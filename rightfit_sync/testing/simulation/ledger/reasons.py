"""Why: every rejection and every open conflict must have a reason that the ledger knows.

A change may be refused because the workload planted it, because something that it builds on was refused, or because
its author's sight or the record itself was taken away. A conflict is open because two people wrote at one place and
neither had seen the other. Whatever has no such reason is more than was planted, and fails the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from rightfit_sync.testing.simulation.ledger.book import Ledger
from rightfit_sync.testing.simulation.ledger.rules import Rules, broken, same
from rightfit_sync.testing.simulation.ledger.verdict import Verdict
from rightfit_sync.testing.simulation.ledger.writes import Json, Key, Write, hidden

HEALING_CODES = frozenset({"base_unknown", "receipt_lost"})
"""Answers that only a restored authority, or one that has purged, may give, or one to a phone put back."""


class Reasons:
    """Looks for reasons in a ledger. `unsighted` are those whose sight was ever taken away, records or screens."""

    def __init__(self, ledger: Ledger, unsighted: frozenset[Key | str]) -> None:
        self._ledger = ledger
        self._unsighted = unsighted
        self._rules = ledger.rules

    # Rejections

    def unexplained_rejections(self) -> Iterator[str]:
        """Yield a sentence for each rejection without a reason."""
        for write in self._ledger.writes:
            if write.fate == "rejected" and not self._is_explained(write):
                yield f"{write}: why?"

    def _is_explained(self, write: Write) -> bool:
        if write.by_rule or (write.code in write.planted):
            return True
        if write.code == "unknown_reference":
            # A server answers a reference to what its author may no longer see as one to what never was.
            return write.who in self._unsighted or any(
                self._never_was(target) or target in self._unsighted for target in self._targets(write)
            )
        if write.code == "restricted":
            return write.op in ("delete", "edit") and self._rules.restricts(write.key[0])
        if write.code == "transaction_rejected":
            mates = self._ledger.transactions.get(write.transaction or "", ())
            return any(not one.is_alive and one.code != "transaction_rejected" for one in mates)
        if write.code == "unknown_entity":
            return self._is_out_of_sight(write) or self._never_was(write.key) or self._saw_no_birth(write)
        if write.code == "id_taken":
            # A real server tells who makes a record of another's that is out of sight no more than that.
            record = self._ledger.record(write.key)
            return write.op == "create" and any(
                one.op == "create" and one is not write for one in record.writes
            )
        if write.code == "collected":
            return self._ledger.record(write.key).was_purged
        if write.code == "invariant":
            return write.op == "resolve"
        if write.code == "depends_on_rejected":
            return self._builds_on_refused(write)
        is_healing = self._ledger.life > 0 or self._ledger.record(write.key).was_purged
        return write.code in HEALING_CODES and (is_healing or write.who in self._ledger.rewound)

    def _targets(self, write: Write) -> Iterator[Key]:
        for name, reference in self._rules.references(write.key[0]).items():
            for path, value in write.values.items():
                target = value.get(name) if isinstance(value, Mapping) else value if path == name else None
                if target is not None:
                    yield reference["kind"], str(target)

    def _never_was(self, key: Key) -> bool:
        """Whether no create of it was accepted, or what there was has been purged."""
        record = self._ledger.records.get(key)
        if record is None or record.was_purged or record.was_lost:
            return True
        creates = [one for one in record.writes if one.op == "create"]
        return not any(one.fate in ("accepted", "duplicate") and not one.was_refused for one in creates)

    def _saw_no_birth(self, write: Write) -> bool:
        """Whether every create that its author had seen came to nothing; another hand's may have come in since."""
        seen = self._ledger.record(write.key).these(write.seen)
        return not any(one.op == "create" and one.is_alive for one in seen)

    def _is_out_of_sight(self, write: Write) -> bool:
        return write.key in self._unsighted or write.who in self._unsighted

    def _builds_on_refused(self, write: Write) -> bool:
        record = self._ledger.record(write.key)
        return any(
            not one.is_alive and one is not write and any(one.touches(path) for path in write.values)
            for one in record.these(write.seen)
        ) or any(
            not one.is_alive and any(write.touches(path) for path in one.values)
            for one in record.these(write.seen)
        )

    # Conflicts

    def unexplained_conflicts(self, verdict: Verdict) -> Iterator[str]:
        """Yield a sentence for each open conflict of a record without a reason, and each that should be open."""
        found = verdict.found
        for path, reason in found.conflicts:
            if reason in ("siblings", "removed_item") and not self._has_rivals(verdict, path, reason):
                yield f"{path} is in conflict ({found.fields.get(path)}), and nobody wrote there unseen by another"
        yield from self._wrong_invariants(verdict)

    def _has_rivals(self, verdict: Verdict, path: str, reason: str) -> bool:
        rule = self._rules.of(verdict.key[0], path)
        writes = verdict.touching(path)
        if reason == "removed_item":
            inside = [name for name in verdict.found.fields if name.startswith(f"{path}/")]
            removers = [one for one in writes if one.removes(path)]
            if any(name in one.values or name in one.beside for one in removers for name in inside):
                # What stood beside the value on the screen was not seen, and survives.
                return True
            # Only who writes at the item itself settles whether it is there.
            deciders = [one for one in writes if path in one.values]
            writes = [*writes, *(one for name in inside for one in verdict.touching(name))]
            return (
                verdict.record.is_joined
                or self._has_refused(verdict, path)
                or any(
                    not _settled(left, right, path, deciders)
                    for left in deciders
                    for right in writes
                    if left is not right and left.removes(path)
                    if _are_rivals(left, right, path)
                    or _goes_on_inside(right, left, path)
                    or any(name in right.values and not left.saw(right, name) for name in inside)
                )
            )
        if verdict.record.is_joined or not rule.is_known or self._has_refused(verdict, path):
            return True
        if rule.word == "once" and any(
            not same(writes[0].values[path], one.values.get(path)) for one in writes[1:]
        ):
            return True
        return any(
            not _settled(left, right, path, writes)
            for place, left in enumerate(writes)
            for right in writes[place + 1 :]
            if _are_rivals(left, right, path)
        )

    @staticmethod
    def _has_refused(verdict: Verdict, path: str) -> bool:
        """Whether some write there was given up or refused: who saw it, or built on it, did not see what stands.

        What its author had built on it left the screen with it, and may have been accepted as well.
        """
        return any(one.touches(path) for one in hidden(verdict.record.writes))

    def _wrong_invariants(self, verdict: Verdict) -> Iterator[str]:
        found = verdict.found
        for name, spec in self._rules.invariants(verdict.key[0]).items():
            fields = cast("Sequence[str]", spec["fields"])
            options = cast("Mapping[str, Json]", spec.get("options", {}))
            values: list[Json] = [found.view.get(field) for field in fields]
            is_broken = broken(str(spec["rule"]), values, options)
            if is_broken is not None and not found.is_deleted and is_broken != found.lists(name):
                yield f"{name} is {'broken' if is_broken else 'kept'} by {values}; listed: {found.lists(name)}"


def _are_rivals(left: Write, right: Write, path: str) -> bool:
    """Whether neither had seen the other, or one wrote into a conflict that it saw, and did not settle it."""
    into_conflict = (one for one in (left, right) if path in one.beside and one.op != "resolve")
    return not (left.saw(right, path) or right.saw(left, path)) or any(into_conflict)


def _goes_on_inside(write: Write, removal: Write, item: str) -> bool:
    """Whether `write` has put something into the item that its author had seen removed."""
    inside = (value for path, value in write.values.items() if path.startswith(f"{item}/"))
    return write.saw(removal, item) and any(value is not None for value in inside)


def _settled(left: Write, right: Write, path: str, writes: list[Write]) -> bool:
    """Whether somebody who had both on the screen has put one thing in their place since."""
    return any(
        one.saw(left, path) and one.saw(right, path) and (one.op == "resolve" or path not in one.beside)
        for one in writes
    )


def orphans(verdicts: Mapping[Key, Verdict], rules: Rules) -> Iterator[str]:
    """Yield a sentence for each living record that refers to a dead one unlisted, or to a living one as an orphan."""
    for key, verdict in verdicts.items():
        if verdict.found.is_deleted:
            continue
        listed = {path for path, reason in verdict.found.conflicts if reason == "orphan"}
        for name, reference in rules.references(key[0]).items():
            target = (reference["kind"], str(verdict.found.view.get(name)))
            is_gone = target[1] != "None" and (target not in verdicts or verdicts[target].found.is_deleted)
            if is_gone != (name in listed):
                yield f"{key} refers to {target}, which is {'gone' if is_gone else 'there'}; listed: {sorted(listed)}"
