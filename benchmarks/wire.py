"""Bytes on the wire for W1, W2 and W3: both directions, through a relay that counts. Nothing is timed."""

from collections.abc import Sequence

from benchmarks import syncing
from benchmarks.application import TRANSITIONS
from benchmarks.relay import Relay
from benchmarks.replicas import insert
from benchmarks.serving import Service
from benchmarks.workload import Record


def measure(service: Service, records: Sequence[Record], edits: int) -> dict[str, float]:
    """Return bytes per record pushed and pulled, and the kilobytes of W3 altogether."""
    figures: dict[str, float] = {}
    with (
        Relay(service.stack.url) as relay,
        service.replica("writer", relay.url) as writer,
        service.replica("reader", relay.url) as reader,
    ):
        insert(writer, records)
        writer.sync()
        pushed = relay.total_bytes
        reader.sync()
        pulled = relay.total_bytes
        figures["product.push_bytes"] = pushed / len(records)
        figures["product.pull_bytes"] = (pulled - pushed) / len(records)
        # What the writer has not heard of yet is no part of the edits.
        writer.sync()
        before = relay.total_bytes
        syncing.edit_across(writer, reader, [one for one in records if one.status in TRANSITIONS][:edits])
        figures["product.edit_kilobytes"] = (relay.total_bytes - before) / 1_000
    return figures
