"""Encodings: MessagePack (the default) and JSON (for people and tools), either of them compressed with zstd if wished.

`decode` is strict: what JSON readers of other languages would understand differently is refused (numbers beyond
2^53-1, NaN, duplicate keys), and so is what would exhaust the reader (depth, inflated size). Errors are `RemoteError`s
that name the place. Faults B01, B02, B04 of docs/explanation/faults.md.
"""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Final, TypeVar, cast

import msgspec

from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import Row
from rightfit_sync.limits import DEPTH_MAX, INTEGER_MAX, PUSH_BYTES_MAX
from rightfit_sync.packing import Rows
from rightfit_sync.wire.packed import PACKED, packed, unpacked

MSGPACK: Final = "application/msgpack"
MSGPACK_BY_COLUMNS: Final = f"{MSGPACK};rows=columns"
"""What a device accepts that reads rows by columns (see `alike`); the answer is `MSGPACK` all the same."""
JSON: Final = "application/json"

_T = TypeVar("_T")


def encode(message: msgspec.Struct, content_type: str = MSGPACK) -> bytes:
    """Return the bytes of `message`, packed or not."""
    if content_type == JSON:
        return msgspec.json.encode(unpacked(message), enc_hook=_written_out)
    return msgspec.msgpack.encode(packed(message))


def _written_out(value: object) -> list[Row]:
    if isinstance(value, Rows):
        return value.whole
    raise TypeError(f"a message holds no {type(value).__name__}")


def decode(body: bytes, content_type: str, message_type: type[_T]) -> _T:
    """Return the message in `body`; raise `RemoteError` (400, 413 or 415) where there is none."""
    if len(body) > PUSH_BYTES_MAX:
        raise RemoteError(
            "too_large", f"{len(body)} bytes, at most {PUSH_BYTES_MAX}: send less at once", status=413
        )
    if content_type not in (MSGPACK, JSON):
        raise RemoteError(
            "unsupported_media_type", f"send {MSGPACK} or {JSON}, not {content_type!r}", status=415
        )
    try:
        if content_type == MSGPACK:
            return decode_msgpack(body, message_type)
        return msgspec.convert(_strict_json(body), message_type)
    except msgspec.ValidationError as error:
        raise RemoteError("invalid_message", str(error), path=_place(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RemoteError("malformed_body", f"the body is no {content_type}: {error}") from error
    except RecursionError as error:
        raise RemoteError("too_deep", f"nested deeper than {DEPTH_MAX} levels") from error


def decode_msgpack(body: bytes, message_type: type[_T]) -> _T:
    """Return the message in `body`, unpacked; raises `msgspec.MsgspecError` where there is none."""
    packed_type = PACKED.get(message_type)
    if packed_type is None:
        return msgspec.msgpack.decode(body, type=message_type)
    return cast("_T", unpacked(msgspec.msgpack.decode(body, type=packed_type)))


def _place(sentence: str) -> str:
    return sentence.partition(" - at `")[2].rstrip("`")


def _strict_json(body: bytes) -> object:
    if _depth(body) > DEPTH_MAX:
        raise RemoteError("too_deep", f"nested deeper than {DEPTH_MAX} levels")
    return json.loads(
        body.decode(),
        object_pairs_hook=_unique,
        parse_constant=_no_constant,
        parse_int=_small_integer,
        parse_float=_finite_number,
    )


def _depth(body: bytes) -> int:
    """Return the nesting of `body`, brackets inside strings not counted, without building anything."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RemoteError("duplicate_key", f"the key {twice!r} stands twice in one object", path=twice)
    return unique


def _no_constant(word: str) -> object:
    raise RemoteError("invalid_number", f"{word} is not a number in JSON")


def _small_integer(digits: str) -> int:
    if len(digits) > len(str(-INTEGER_MAX)) or abs(int(digits)) > INTEGER_MAX:
        raise RemoteError("invalid_number", f"{digits[:40]} is beyond 2^53-1: send it as a string")
    return int(digits)


def _finite_number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise RemoteError("invalid_number", f"{digits[:40]} is beyond every number")
    return number


def compress(body: bytes) -> bytes:
    """Return `body` compressed with zstd; needs the `zstandard` package."""
    compressed = import_module("zstandard").ZstdCompressor().compress(body)
    return bytes(compressed)


def decompress(body: bytes, bytes_max: int = PUSH_BYTES_MAX) -> bytes:
    """Return `body` inflated; raise `RemoteError("too_large")` before it exceeds `bytes_max`."""
    zstandard = import_module("zstandard")
    reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(body)
    try:
        inflated = bytes(reader.read(bytes_max + 1))
    except zstandard.ZstdError as error:
        raise RemoteError("malformed_body", f"the body is no zstd: {error}") from error
    if len(inflated) > bytes_max:
        raise RemoteError(
            "too_large", f"inflates to more than {bytes_max} bytes: send less at once", status=413
        )
    return inflated
