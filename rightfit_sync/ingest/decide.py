"""`decide`: from a push and a snapshot to receipts, history rows and changed entities.

The server reads the snapshot under the device's lock, calls `decide`, and writes the decision in the same
transaction. Where consequences reach further entities it answers `NeedMore`, and is called again with more.

For each change, in the device's order:

| step | finding | answer |
|---|---|---|
| receipt | same digest | that receipt again, nothing else |
| | another digest | `RemoteError("device_cloned")`: the whole push is refused |
| counter | beyond the next one | `RemoteError("counter_gap")` with the expected counter, likewise |
| kind | unknown here | deferred: no receipt, it stays pending, and so do later changes of that entity |
| alias | `was`, or a later change's `was`, names the same change, accepted | `duplicate` of its outcome |
| void | | `void` |
| restore | dot (or that of `was`) inside the vector, without a receipt | `duplicate` if shown, else `receipt_lost` |
| birth | of a record that was here once | `collected`: nothing comes back by itself |
| build | `replaces` names a rejected or void change | `depends_on_rejected` |
| permission | `authorize` says no | its answer |
| `apply`, consequences | | its outcome |
| | the authority itself fails on it | `internal_error`, so that it holds up nobody |

Changes of one transaction are accepted or rejected whole. Source: docs/explanation/semantics.md, sections 4, 6, 7.
"""

from collections.abc import Mapping, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from rightfit_sync.apply import DUPLICATE, VOID, apply
from rightfit_sync.causality.dot import Dot
from rightfit_sync.causality.version_vector import includes, merge
from rightfit_sync.changes import replacing
from rightfit_sync.errors import RemoteError
from rightfit_sync.identity import first_name, former_dots
from rightfit_sync.ingest.consequences import Consequences
from rightfit_sync.ingest.draft import Draft, Mark, MissingError
from rightfit_sync.ingest.snapshot import (
    NO_PAST,
    Authorize,
    Decision,
    Key,
    NeedMore,
    Past,
    Pushed,
    Receipt,
    Recorded,
    Snapshot,
)
from rightfit_sync.ingest.twins import shows
from rightfit_sync.limits import ABSENT_DOTS_MAX, CHANGES_PER_TRANSACTION_MAX
from rightfit_sync.outbox import transactions, trimmed
from rightfit_sync.records import APPLIED, RECEIPT_LOST, Alias, Change, Entity, Outcome, rejected
from rightfit_sync.schema.spec import Schema


def decide(
    push: Sequence[Pushed], snapshot: Snapshot, schema: Schema, *, authorize: Authorize, now: int
) -> Decision | NeedMore:
    """Return the decision about `push`; `now` is the authority's clock, milliseconds since 1970 UTC.

    Raises `RemoteError` (`counter_gap`, `device_cloned`, `wrong_device`) where the push as a whole is refused.
    """
    ingest = _Ingest(snapshot, schema, authorize, now)
    try:
        for group in transactions(push):
            ingest.take(group)
    except MissingError as missing:
        return missing.need
    return ingest.decision()


class _Ingest:
    def __init__(self, snapshot: Snapshot, schema: Schema, authorize: Authorize, now: int) -> None:
        self._snapshot = snapshot
        self._schema = schema
        self._authorize = authorize
        self._now = now
        self._consequences = Consequences(
            schema, snapshot.authority_device_id, now, is_restored=snapshot.is_restored
        )
        self._failures: dict[Dot, str] = {}
        self._draft = Draft(snapshot, schema)
        self._receipts: list[Receipt] = []
        self._as_applied: dict[Dot, Change] = {}
        self._deferred: list[Dot] = []
        self._deferred_keys: set[Key] = set()
        self._counter = snapshot.device.counter
        self._refused: dict[Key, list[Dot]] = {}
        self._lost = {dot for dot, receipt in snapshot.receipts.items() if not receipt.outcome.is_accepted}
        self._absent = {dot for dot, receipt in snapshot.receipts.items() if _is_absent(receipt.outcome)}
        twins = ((dot, receipt.outcome.twin) for dot, receipt in snapshot.receipts.items())
        self._twins = {dot: twin for dot, twin in twins if twin is not None}

    def take(self, group: Sequence[Pushed]) -> None:
        """Take in one transaction (often a single change)."""
        fresh = [pushed for pushed in group if not self._is_answered(pushed)]
        if not fresh:
            return
        if any(map(self._is_ahead, fresh)):
            self._deferred += [pushed.change.dot for pushed in fresh]
            self._deferred_keys.update((pushed.change.kind, pushed.change.entity_id) for pushed in fresh)
        elif len(group) == 1:
            self._settle(fresh[0], self._judge(fresh[0]))
        else:
            self._take_whole(group, fresh)

    def _take_whole(self, group: Sequence[Pushed], fresh: Sequence[Pushed]) -> None:
        """Take in a transaction of several: all that is `fresh` of it, or nothing."""
        mark = self._draft.mark()
        outcomes = [self._judge(pushed) for pushed in fresh]
        outcomes = self._whole(group, fresh, outcomes)
        if not all(outcome.is_accepted for outcome in outcomes):
            self._draft.roll_back(mark)
        for pushed, outcome in zip(fresh, outcomes, strict=True):
            self._settle(pushed, outcome)

    def _is_answered(self, pushed: Pushed) -> bool:
        dot, device = pushed.change.dot, self._snapshot.device
        if dot.device_id != device.device_id:
            raise RemoteError(
                "wrong_device", f"{dot} is not a change of {device.device_id}", status=403, path="dot"
            )
        receipt = self._snapshot.receipts.get(dot)
        if receipt is not None:
            if receipt.digest != pushed.digest:
                message = f"{dot} was spent on another change: this device's id is used twice"
                raise RemoteError(
                    "device_cloned",
                    message,
                    status=409,
                    path="dot",
                    detail={"dot": [dot.device_id, dot.counter]},
                )
            self._receipts.append(receipt)
            self._note_refused(pushed, receipt.outcome)
            return True
        if dot.counter > self._counter + 1:
            message = f"{dot} leaves a gap: the next counter is {self._counter + 1}"
            raise RemoteError(
                "counter_gap", message, status=409, path="dot", detail={"expected": self._counter + 1}
            )
        self._counter = max(self._counter, dot.counter)
        return False

    def _is_ahead(self, pushed: Pushed) -> bool:
        change = pushed.change
        if change.op == "void":
            return False
        return change.kind not in self._schema.kinds or (change.kind, change.entity_id) in self._deferred_keys

    def _judge(self, pushed: Pushed) -> Outcome:
        """Return the outcome of one change and leave its effect in the draft."""
        mark = self._draft.mark()
        try:
            return self._twin(pushed) or (VOID if pushed.change.op == "void" else self._decided(pushed, mark))
        except MissingError:
            raise
        except Exception as failure:  # noqa: BLE001 - one change that nobody foresaw must not hold up all others.
            self._draft.roll_back(mark)
            self._failures[pushed.change.dot] = repr(failure)
            return rejected(
                "internal_error", "the authority failed on this change: its operator is told, retry later"
            )

    def _decided(self, pushed: Pushed, mark: Mark) -> Outcome:
        change = pushed.change
        key = (change.kind, change.entity_id)
        before = self._draft.entity(key)
        answer = None if before is None else self._known(before, pushed)
        answer = answer or self._refusal(before, change)
        if answer is not None:
            return answer
        clamped = self._clamped(change, before)
        after, outcome = apply(before, clamped, self._schema)
        if outcome.status == "rejected" or after is None:
            return outcome
        self._draft.put(key, after)
        if clamped is not change:
            self._as_applied[change.dot] = clamped
        refused = self._consequences.follow(self._draft, before, clamped)
        if refused is None:
            return outcome
        self._draft.roll_back(mark)
        return refused

    def _clamped(self, change: Change, before: Entity | None) -> Change:
        """Return `change` as it is applied; mostly that is as it came."""
        is_plain = change.written_at <= self._now and change.absent is UNSET and change.op != "restore"
        if is_plain and not self._absent:
            # It names nothing that was refused, or accepted under another dot.
            return change
        base = self._base(change, before)
        clamped = trimmed(change if base is change.base else replace(change, base=base), before, self._absent)
        # What replaces a duplicate replaces what had been accepted.
        patches = replacing(change.patches, self._twins)
        absent = self._passed_over(change, before) or UNSET
        if patches is change.patches and change.written_at <= self._now and absent is change.absent:
            return clamped
        written_at = min(change.written_at, self._now)
        return replace(clamped, patches=patches, written_at=written_at, absent=absent)

    def _twin(self, pushed: Pushed) -> Outcome | None:
        """Return `duplicate` where the same change, told by its digest, was accepted under another of its dots."""
        change, snapshot = pushed.change, self._snapshot
        if change.was is UNSET and not snapshot.aliases:
            return None
        named = [snapshot.aliases.get(Alias(change.dot, pushed.digest))]
        if change.was is not UNSET:
            original = snapshot.receipts.get(change.was.dot)
            is_same = original is not None and original.digest == change.was.digest
            # The original may have been refused, and accepted when it was tried again.
            named += [original if is_same else None, snapshot.aliases.get(change.was)]
        accepted = [one for one in named if one is not None and one.outcome.is_accepted]
        twin = next((one for one in accepted if not _is_retry(one.dot, change)), None)
        if twin is None:
            return None
        return replace(DUPLICATE, first=twin.outcome, twin=twin.outcome.twin or twin.dot)

    def _known(self, before: Entity, pushed: Pushed) -> Outcome | None:
        """Answer a change that the entity includes although its receipt is lost (after a restore)."""
        change = pushed.change
        if before.aliases is not UNSET:
            name = first_name(change, pushed.digest)
            twin = next((one.dot for one in before.aliases if one.was == name), None)
            if twin is not None:
                return replace(DUPLICATE, twin=twin)
        for dot in (change.dot, *former_dots(change)):
            if includes(before.version_vector, dot) and not before.lacks(dot) and not self._has_receipt(dot):
                if shows(before, dot, change):
                    return DUPLICATE if dot == change.dot else replace(DUPLICATE, twin=dot)
                return rejected(RECEIPT_LOST, f"the answer to {dot} was lost in a restore: look, then retry")
        return None

    def _has_receipt(self, dot: Dot) -> bool:
        """Whether `dot` was answered before, or a moment ago in this push: for good, not that its answer is lost."""
        known = [self._snapshot.receipts.get(dot), *(one for one in self._receipts if one.dot == dot)]
        return any(receipt is not None and receipt.outcome.code != RECEIPT_LOST for receipt in known)

    def _base(self, change: Change, before: Entity | None) -> Mapping[str, int]:
        """Return `base` with what its author saw under another dot named as it was accepted, too.

        That is the dot of a duplicate (whoever says a change again knows it, and all that its replica had written
        before it), and for a restore that of a delete which was said again after the authority had been restored.
        """
        base = change.base
        known = {} if before is None else before.version_vector
        seen = [twin for dot, twin in self._twins.items() if includes(base, dot) and includes(known, twin)]
        if change.op == "restore" and self._snapshot.is_restored:
            seen += [
                again.dot
                for former, again in self._past(change).said_again.items()
                if again.op == "delete" and includes(base, former) and not includes(known, former)
            ]
        for dot in seen:
            base = merge(base, {dot.device_id: dot.counter})
        return base

    def _past(self, change: Change) -> Past:
        return self._snapshot.pasts.get((change.kind, change.entity_id), NO_PAST)

    def _refusal(self, before: Entity | None, change: Change) -> Outcome | None:
        if change.op == "create" and (change.kind, change.entity_id) in self._snapshot.collected:
            name = f"{change.kind} {change.entity_id}"
            return rejected("collected", f"{name} was deleted for good: make it anew under another id")
        for path, patch in change.patches.items() if self._lost else ():
            for dot in patch.replaced:
                if dot in self._lost:
                    return rejected(
                        "depends_on_rejected", f"{path} builds on {dot}, which was not accepted", path
                    )
        return self._authorize(before, change)

    def _whole(
        self, group: Sequence[Pushed], fresh: Sequence[Pushed], outcomes: Sequence[Outcome]
    ) -> list[Outcome]:
        """Return the outcomes of a transaction: where one change may not stand, none does."""
        mates = {pushed.change.dot for pushed in group}
        answered = {receipt.dot: receipt.outcome for receipt in self._receipts if receipt.dot in mates}
        fates = {pushed.change.dot: outcome for pushed, outcome in zip(fresh, outcomes, strict=True)}
        culprit = next((dot for dot, fate in {**answered, **fates}.items() if not fate.is_accepted), None)
        if culprit is None and len(group) <= CHANGES_PER_TRANSACTION_MAX:
            return list(outcomes)
        reason = f"{culprit} of the same transaction was not accepted"
        if culprit is None:
            reason = f"a transaction has at most {CHANGES_PER_TRANSACTION_MAX} changes: split it"
        refusal = rejected("transaction_rejected", f"{reason}; nothing of it was applied")
        return [refusal if outcome.is_accepted else outcome for outcome in outcomes]

    def _settle(self, pushed: Pushed, outcome: Outcome) -> None:
        dot = pushed.change.dot
        self._receipts.append(Receipt(dot, pushed.digest, outcome))
        change = self._as_applied.get(dot, pushed.change) if outcome.is_accepted else pushed.change
        self._draft.recorded.append(Recorded(change, pushed.digest, outcome))
        if outcome.status in APPLIED:
            return
        self._note_refused(pushed, outcome)
        if not outcome.is_accepted:
            self._lost.add(dot)
        if _is_absent(outcome):
            self._absent.add(dot)
        if outcome.twin is not None:
            self._twins[dot] = outcome.twin

    def _note_refused(self, pushed: Pushed, outcome: Outcome) -> None:
        if not outcome.is_accepted:
            change = pushed.change
            self._refused.setdefault((change.kind, change.entity_id), []).append(change.dot)

    def _passed_over(self, change: Change, before: Entity | None) -> list[Dot]:
        """Return the dots of its device between the last one that is included and `change` that were not accepted.

        A device that had heard so when it wrote says so (what lies between is in no entity, whoever says it).
        One that had not names the last of them in `base`, and sends those before it again.
        """
        device_id, counter = change.dot.device_id, change.dot.counter
        known = 0 if before is None else before.version_vector.get(device_id, 0)
        named = Dot(device_id, change.base.get(device_id, 0))
        said = () if change.absent is UNSET else change.absent
        refused = [*said, *self._refused.get((change.kind, change.entity_id), ()), *({named} & self._lost)]
        passed = {dot for dot in refused if dot.device_id == device_id and known < dot.counter < counter}
        return sorted(passed)[-ABSENT_DOTS_MAX:]

    def decision(self) -> Decision:
        """Return everything that has been decided."""
        draft = self._draft
        return Decision(
            receipts=self._receipts,
            recorded=draft.recorded,
            entities=draft.changed,
            orphans=draft.all_orphans(),
            deferred=self._deferred,
            device_counter=self._counter,
            authority_counter=draft.authority_counter,
            failures=self._failures,
        )


def _is_retry(dot: Dot, change: Change) -> bool:
    """Whether `dot` is another try of what had been given up: nobody who built on `change` had seen that."""
    names = [change.dot, *former_dots(change)]
    if change.op != "void" or dot in names:
        return False
    return any(dot.device_id == name.device_id and dot.counter > name.counter for name in names)


def _is_absent(outcome: Outcome) -> bool:
    """Whether the dot of such a change is in no entity: it was not accepted, or is there under another name."""
    return not outcome.is_accepted or outcome.status == "duplicate"
