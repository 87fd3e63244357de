"""The server's side of a pull: pages asked for by a program that decodes them for their cursor and nothing else."""

import http.client
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

from benchmarks.application import SCHEMA
from benchmarks.clock import expect
from rightfit_sync.limits import PROTOCOL_VERSION, ROWS_PER_PAGE
from rightfit_sync.wire.codec import MSGPACK, decompress, encode
from rightfit_sync.wire.messages import SyncRequest

INFLATED_BYTES_MAX = 64_000_000


class _Page(msgspec.Struct, frozen=True):
    cursor: str
    more: bool = False


class _Answer(msgspec.Struct, frozen=True):
    page: _Page


def page_seconds(url: str, token: str, rows: int) -> list[float]:
    """Return how long each page of a first pull of `rows` rows took the server, the last one left out."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": MSGPACK,
        "Accept": MSGPACK,
        "Accept-Encoding": "zstd",
    }
    times: list[float] = []
    page = _Page("", more=True)
    while page.more:
        asked = SyncRequest(PROTOCOL_VERSION, SCHEMA.schema_version, (), page.cursor or None, ROWS_PER_PAGE)
        body = encode(asked)
        start = perf_counter()
        connection.request("POST", "/v1/sync", body, headers)
        response = connection.getresponse()
        content = response.read()
        times.append(perf_counter() - start)
        expect(response.status, 200, f"the answer to a pull ({content[:200]!r})")
        if response.headers.get("Content-Encoding") == "zstd":
            content = decompress(content, INFLATED_BYTES_MAX)
        page = msgspec.msgpack.decode(content, type=_Answer).page
    connection.close()
    return times[: rows // ROWS_PER_PAGE] or times
