"""Bytes on the wire for W1, W2 and W3: both directions, through a link that counts. Nothing is timed."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from benchmarks import syncing
from benchmarks.application import TRANSITIONS
from benchmarks.replicas import insert
from benchmarks.serving import Service
from benchmarks.workload import Record
from rightfit_server.demo.link import Link


def measure(service: Service, records: Sequence[Record], edits: int) -> dict[str, float]:
    """Return bytes per record pushed and pulled, and the kilobytes of W3 altogether."""
    figures: dict[str, float] = {}
    server = urlsplit(service.stack.url)
    with (
        Link(server.hostname or "", server.port or 0) as link,
        service.replica("writer", link.url) as writer,
        service.replica("reader", link.url) as reader,
    ):
        insert(writer, records)
        writer.sync()
        pushed = link.relayed_bytes
        reader.sync()
        pulled = link.relayed_bytes
        figures["product.push_bytes"] = pushed / len(records)
        figures["product.pull_bytes"] = (pulled - pushed) / len(records)
        # What the writer has not heard of yet is no part of the edits.
        writer.sync()
        before = link.relayed_bytes
        syncing.edit_across(writer, reader, [one for one in records if one.status in TRANSITIONS][:edits])
        figures["product.edit_kilobytes"] = (link.relayed_bytes - before) / 1_000
    return figures
