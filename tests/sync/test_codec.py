"""The codec refuses what readers would understand differently, and what would exhaust them, by name."""

import importlib.util
import json
import math
from importlib.util import find_spec

import msgspec
import pytest

from rightfit_sync import Change, Dot, Entity, Patch, Sibling
from rightfit_sync.causality.dot import WrittenDot
from rightfit_sync.errors import RemoteError
from rightfit_sync.feed import Page, Row
from rightfit_sync.ingest.snapshot import Pushed
from rightfit_sync.limits import DEPTH_MAX, PUSH_BYTES_MAX, VALUE_DEPTH_MAX
from rightfit_sync.wire.codec import JSON, MSGPACK, compress, decode, decompress, encode
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

needs_zstd = pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is None, reason="zstd is optional: pip install zstandard"
)

needs_zstd = pytest.mark.skipif(find_spec("zstandard") is None, reason="zstandard is not installed")
REQUEST = SyncRequest(1, 1, [Pushed(Change(Dot("a", 1), "k", "1", "create", {}, {"f": Patch(1)}), "d")])


def with_value(literal: str) -> bytes:
    """A request whose one change carries the value that this JSON says."""
    return encode(REQUEST, JSON).replace(b'"value":1', b'"value":' + literal.encode())


def refusal(body: bytes, content_type: str = JSON) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        decode(body, content_type, SyncRequest)
    return caught.value


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
def test_a_message_comes_back(content_type: str) -> None:
    assert decode(encode(REQUEST, content_type), content_type, SyncRequest) == REQUEST


@pytest.mark.parametrize(
    "literal",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e400",
        "9007199254740992",
        "-9007199254740992",
        "1" + "0" * 400,
    ],
)
def test_B01_a_number_that_json_readers_lose_is_refused(literal: str) -> None:
    found = refusal(with_value(literal))
    assert (found.code, found.status) == ("invalid_number", 400)


@pytest.mark.parametrize("literal", ["9007199254740991", "-9007199254740991", "1e308", "-0", "0.1", "1E5"])
def test_B01_the_greatest_numbers_pass(literal: str) -> None:
    read = decode(with_value(literal), JSON, SyncRequest)
    assert read.changes[0].change.patches["f"].value == json.loads(literal)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_B02_nesting_beyond_the_limit_is_refused_before_anything_is_built() -> None:
    for body in (b"[" * (DEPTH_MAX + 1), b"[" * 1_000_000, b'{"a":' * 5_000):
        found = refusal(body)
        assert (found.code, found.status) == ("too_deep", 400)


def test_B02_brackets_in_texts_are_no_nesting() -> None:
    text = "[[" * 40 + '\\"' + "{" * 40
    assert (
        decode(with_value(json.dumps(text)), JSON, SyncRequest).changes[0].change.patches["f"].value == text
    )


def test_B02_messagepack_that_would_exhaust_the_reader_is_refused() -> None:
    deep = msgspec.msgpack.encode({"protocol_version": 1, "schema_version": 1, "x": 0})
    body = deep.replace(b"\xa1x\x00", b"\xa1x" + b"\x91" * 100_000 + b"\x00")
    assert refusal(body, MSGPACK).status == 400


def test_the_deepest_legal_value_fits_into_every_message() -> None:
    value = nested(VALUE_DEPTH_MAX)
    request = SyncRequest(
        1, 1, [Pushed(Change(Dot("a", 1), "k", "1", "create", {}, {"f": Patch(value)}), "d")]
    )
    assert decode(encode(request, JSON), JSON, SyncRequest) == request
    entity = Entity("k", "1", {"a": 1}, {"f": [Sibling(value, [WrittenDot("a", 1, 0)])]})
    response = SyncResponse(1, 1, "e1", ["k"], page=Page("c", [], [Row(1, entity)]))
    assert decode(encode(response, JSON), JSON, SyncResponse) == response


def test_B02_a_key_that_stands_twice_is_refused_by_name() -> None:
    found = refusal(with_value('{"a":1,"b":2,"a":3}'))
    assert (found.code, found.path, found.status) == ("duplicate_key", "a", 400)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", encode(REQUEST, JSON)[:-1], b'{"a":"\xff"}', b"\xff\xfe{}", b"nonsense", b"{} {}", b"[1,]"],
)
def test_B02_a_truncated_or_garbled_body_is_refused(body: bytes) -> None:
    assert refusal(body).code == "malformed_body"


@pytest.mark.parametrize("body", [b"", encode(REQUEST)[:-1], b"\xc1", b"\x81\xa1\xff\x01"])
def test_B02_truncated_messagepack_is_refused(body: bytes) -> None:
    assert refusal(body, MSGPACK).status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/json; charset=latin-1"])
def test_B02_a_wrong_content_type_is_refused(content_type: str) -> None:
    assert refusal(b"{}", content_type).status == 415


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
def test_B02_a_message_of_another_shape_is_refused_with_its_place(content_type: str) -> None:
    encoding = msgspec.json if content_type == JSON else msgspec.msgpack
    body = encoding.encode(
        {"protocol_version": 1, "schema_version": 1, "changes": [{"change": 5, "digest": ""}]}
    )
    found = refusal(body, content_type)
    assert (found.code, found.path) == ("invalid_message", "$.changes[0].change")


def test_F12_keys_that_a_newer_peer_adds_are_ignored() -> None:
    plain = msgspec.to_builtins(REQUEST)
    for encoding, content_type in ((msgspec.json, JSON), (msgspec.msgpack, MSGPACK)):
        assert decode(encoding.encode({**plain, "news": [1]}), content_type, SyncRequest) == REQUEST


def test_B04_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    for content_type in (JSON, MSGPACK):
        found = refusal(b"[" * (PUSH_BYTES_MAX + 1), content_type)
        assert (found.code, found.status) == ("too_large", 413)


@needs_zstd
@needs_zstd
def test_B04_what_was_compressed_comes_back() -> None:
    body = encode(REQUEST)
    assert decompress(compress(body)) == body
    assert decompress(compress(b"")) == b""


@needs_zstd
@needs_zstd
def test_B04_a_bomb_stops_inflating_at_the_limit() -> None:
    bomb = compress(b"\x00" * (PUSH_BYTES_MAX * 8))
    assert len(bomb) < PUSH_BYTES_MAX / 1_000
    with pytest.raises(RemoteError) as caught:
        decompress(bomb)
    assert (caught.value.code, caught.value.status) == ("too_large", 413)
    with pytest.raises(RemoteError, match="more than 10 bytes"):
        decompress(compress(b"\x00" * 11), bytes_max=10)
    assert decompress(compress(b"\x00" * 10), bytes_max=10) == b"\x00" * 10


@needs_zstd
@needs_zstd
def test_B04_what_is_no_zstd_is_refused() -> None:
    with pytest.raises(RemoteError) as caught:
        decompress(b"plain text")
    assert caught.value.code == "malformed_body"


@needs_zstd
@needs_zstd
def test_B04_a_truncated_zstd_body_is_refused() -> None:
    whole = compress(encode(REQUEST))
    for length in range(len(whole)):
        with pytest.raises(RemoteError) as caught:
            decode(decompress(whole[:length]), MSGPACK, SyncRequest)
        assert caught.value.code == "malformed_body"


def test_B01_messagepack_may_carry_a_nan_and_apply_refuses_it() -> None:
    """A batch goes on: the change alone is rejected (see test_admission)."""
    patches = {"f": Patch(math.nan)}
    request = SyncRequest(1, 1, [Pushed(Change(Dot("a", 1), "k", "1", "create", {}, patches), "d")])
    read = decode(encode(request), MSGPACK, SyncRequest)
    assert math.isnan(float(str(read.changes[0].change.patches["f"].value)))


def sealed(*seals: bytes) -> SyncResponse:
    entities = [
        Entity("k", f"{number}", {"a": number}, {"f": [Sibling(1, [WrittenDot("a", number, 0)])]})
        for number in range(1, len(seals) + 1)
    ]
    rows = [
        Row(number, entity, ["t"], seal=one)
        for number, (entity, one) in enumerate(zip(entities, seals, strict=True), 1)
    ]
    return SyncResponse(1, 1, "e1", ["k"], page=Page("c", ["t"], rows))


@pytest.mark.parametrize("seals", [(b"s" * 16, b"t" * 16), (b"s" * 16, b""), (b"short", b"t" * 16), ()])
def test_each_row_of_a_page_keeps_its_own_seal(seals: tuple[bytes, ...]) -> None:
    response = sealed(*seals)
    for content_type in (MSGPACK, JSON):
        assert decode(encode(response, content_type), content_type, SyncResponse) == response


def test_a_page_whose_seals_do_not_fit_its_rows_is_refused() -> None:
    body = msgspec.msgpack.decode(encode(sealed(b"s" * 16, b"t" * 16)))
    body["page"]["seals"] += b"u"
    with pytest.raises(RemoteError) as refused:
        decode(msgspec.msgpack.encode(body), MSGPACK, SyncResponse)
    assert refused.value.code == "invalid_message"
