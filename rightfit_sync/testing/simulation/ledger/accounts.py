"""The accounting of semantics section 1: every write ever made durable is exactly one of five things, or it is lost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rightfit_sync.testing.simulation.ledger.book import Ledger
from rightfit_sync.testing.simulation.ledger.reasons import Reasons, orphans
from rightfit_sync.testing.simulation.ledger.rules import same
from rightfit_sync.testing.simulation.ledger.verdict import Found, Verdict
from rightfit_sync.testing.simulation.ledger.writes import Json, Key, Write

STATES = ("pending", "visible", "superseded", "in conflict", "rejected")
"""What a change may be in the end; `discarded` is a rejected one that its author has dealt with."""


@dataclass
class Listed:
    """A device's lists in the end: write numbers in its outbox, and those on its rejected list with the payload."""

    pending: frozenset[int]
    rejected: Mapping[int, Mapping[str, Json]]


@dataclass
class Accounts:
    """The sum of it all: `problems` are sentences, `states` counts values by what became of them."""

    problems: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)


def settle(
    ledger: Ledger,
    found: Mapping[Key, Found],
    lists: Mapping[str, Listed],
    unsighted: frozenset[Key | str] = frozenset(),
) -> Accounts:
    """Account for every write. `found` is what the authority holds, `lists` what each device still keeps."""
    accounts = Accounts()
    reasons = Reasons(ledger, unsighted)
    verdicts: dict[Key, Verdict] = {}
    for key, record in ledger.records.items():
        if key not in found:
            if record.taken and not record.is_purged:
                accounts.problems.append(
                    f"{key} is nowhere, and was accepted: {_listed(record.these(record.taken))}"
                )
            continue
        if not record.taken or record.is_purged:
            accounts.problems.append(f"{key} is there, and nothing of it was accepted, or it had been purged")
        verdict = verdicts[key] = Verdict(record, found[key], ledger.rules).judge()
        accounts.states.update(verdict.states)
        accounts.problems += [f"{key}: {sentence}" for sentence in verdict.problems]
        accounts.problems += [f"{key}: {sentence}" for sentence in reasons.unexplained_conflicts(verdict)]
    accounts.problems += orphans(verdicts, ledger.rules)
    accounts.problems += reasons.unexplained_rejections()
    accounts.problems += _torn(ledger)
    for write in ledger.writes:
        problems = _wrong_fate(write, lists, accounts.states, ledger.rewound)
        if (problems or write.fate == "lost") and write.bit & ledger.record(write.key).excused:
            accounts.states["gone with the authority"] += 1
            continue
        accounts.problems += problems
        if write.fate == "lost" and not write.was_refused:
            accounts.problems.append(
                f"{write}: it was acknowledged, somebody still had it, and it never came back"
            )
    return accounts


def _torn(ledger: Ledger) -> Iterator[str]:
    """Tell of transactions of which one part was accepted and another rejected, where no past was lost or put back."""
    for name, mates in ledger.transactions.items():
        refused = [one for one in mates if one.fate == "rejected"]
        taken = [one for one in mates if one.fate == "accepted" and not one.was_refused]
        if refused and taken and ledger.life == 0 and refused[0].who not in ledger.rewound:
            yield f"{name} is torn: {_listed(refused)}, but {_listed(taken)}"


def judge_purged(ledger: Ledger, found: Mapping[Key, Found]) -> Accounts:
    """Judge the records that the authority is about to forget, while they can still be looked at."""
    accounts = Accounts()
    for key, one in found.items():
        record = ledger.record(key)
        verdict = Verdict(record, one, ledger.rules).judge()
        accounts.states.update(verdict.states)
        accounts.problems += [f"{key}, at its purge: {sentence}" for sentence in verdict.problems]
        # What a restore took away, and its holders bring back only now, meets a record that is gone for good.
        record.excused |= sum(write.bit for write in record.writes if write.fate == "lost")
        record.is_purged = record.was_purged = True
    return accounts


def _wrong_fate(
    write: Write, lists: Mapping[str, Listed], states: Counter[str], rewound: set[str]
) -> list[str]:
    """Check that a write which was not accepted is still in its author's hands, and no other one is."""
    if write.who not in lists:
        return []
    # Its author had given it up, and does not know that it had arrived in a past which is lost: the payload is at hand.
    is_lost = write.fate == "lost" and write.was_refused
    is_refused = is_lost or write.fate in ("rejected", "void", "set aside")
    wants_list = is_refused and not write.is_dealt_with
    is_listed = write.number in lists[write.who].rejected
    if write.is_destroyed and write.fate not in ("accepted", "duplicate"):
        states["destroyed by hand"] += 1
        return []
    if is_refused:
        states["discarded" if write.is_dealt_with else "rejected"] += 1
    if any(write.number in one.pending for one in lists.values()):
        states["pending"] += 1
        return [f"{write} is still in an outbox"]
    if write.fate == "pending":
        return [f"{write} has left the outbox, and nobody has answered it"]
    if write.who in rewound:
        is_listed = any(write.number in one.rejected for one in lists.values()) if wants_list else wants_list
    if wants_list != is_listed and not (is_listed and write.is_told_twice):
        return [f"{write} in the rejected list: {is_listed}"]
    payloads = [one.rejected[write.number] for one in lists.values() if write.number in one.rejected]
    if wants_list and not any(same(payload, write.values) for payload in payloads):
        return [f"{write}: its payload is {payloads} in the rejected list"]
    return []


def _listed(writes: Sequence[Write]) -> list[str]:
    return [str(one) for one in writes]
