"""Bodies: read under a limit before anything is inflated or built.

Written in the form that the caller asked for.

MessagePack or JSON, either with zstd, both ways. Faults B01, B02, B04 of docs/explanation/faults.md.
"""

from typing import TypeVar

import msgspec
from litestar import Response

from rightfit_server.http.services import AnyRequest
from rightfit_sync.errors import RemoteError
from rightfit_sync.limits import PUSH_BYTES_MAX
from rightfit_sync.wire.codec import (
    JSON,
    MSGPACK,
    MSGPACK_BY_COLUMNS,
    compress,
    decode,
    decompress,
    encode,
)

ZSTD = "zstd"
COMPRESSED_BYTES_MIN = 1_000
"""Shorter bodies are not worth it."""

_T = TypeVar("_T")


async def read(request: AnyRequest, message_type: type[_T], *, default: str = MSGPACK) -> _T:
    """Return the message that `request` carries; raises `RemoteError` (400, 413, 415)."""
    content_type = _media_type(request.headers.get("content-type", "")) or default
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", ZSTD):
        message = f"{encoding[:40]!r} is not understood: send the body plain, or as zstd"
        raise RemoteError("unsupported_media_type", message, status=415, path="Content-Encoding")
    if content_type not in (MSGPACK, JSON):
        message = f"{content_type[:80]!r} is not understood: send {MSGPACK} or {JSON}"
        raise RemoteError("unsupported_media_type", message, status=415, path="Content-Type")
    body = await _bounded(request)
    if encoding == ZSTD:
        body = decompress(body)
    return decode(body, content_type, message_type)


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


async def _bounded(request: AnyRequest) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > PUSH_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > PUSH_BYTES_MAX:
            raise _too_large()
    return bytes(body)


def _too_large() -> RemoteError:
    message = f"the body has more than {PUSH_BYTES_MAX} bytes: send less at once"
    return RemoteError("too_large", message, status=413)


def write(
    request: AnyRequest, message: msgspec.Struct, *, status: int = 200, default: str = JSON
) -> Response[bytes]:
    """Return the response that carries `message`, as MessagePack or JSON.

    Compressed where the caller reads that.
    """
    accepted = request.headers.get("accept", "")
    content_type = next((form for form in (MSGPACK, JSON) if form in accepted), default)
    body = encode(message, content_type)
    headers = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"}
    if len(body) >= COMPRESSED_BYTES_MIN and ZSTD in request.headers.get("accept-encoding", ""):
        body = compress(body)
        headers["Content-Encoding"] = ZSTD
    return Response(body, media_type=content_type, status_code=status, headers=headers)


def reads_columns(request: AnyRequest) -> bool:
    """Whether the caller says that it reads rows by columns (see `rightfit_sync.alike`)."""
    return MSGPACK_BY_COLUMNS in request.headers.get("accept", "")


def asked_type(request: AnyRequest) -> str:
    """Return the form in which the request came, for answering alike."""
    return JSON if _media_type(request.headers.get("content-type", "")) == JSON else MSGPACK
