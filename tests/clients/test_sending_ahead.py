"""A request that is announced is on its way when `announce` returns, and nobody waits for its answer."""

from collections.abc import Iterator
from threading import Event

import httpx
import pytest

from rightfit_client.credentials import Credentials
from rightfit_client.testing import token_for
from rightfit_client.transport import HttpTransport
from rightfit_sync.exchange import Call
from rightfit_sync.wire.codec import MSGPACK, encode
from rightfit_sync.wire.messages import SyncRequest, SyncResponse

SENDING_SECONDS = 0.002
ANSWER = SyncResponse(1, 1, "e1", ["unit"])


class Slow(httpx.BaseTransport):
    """Takes its time to send; answers once it is told to."""

    def __init__(self, *, tells: bool) -> None:
        self.tells = tells
        self.is_sent = False
        self.may_answer = Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        Event().wait(SENDING_SECONDS)
        self.is_sent = True
        if self.tells:
            request.extensions["trace"]("http11.send_request_body.complete", {})
        self.may_answer.wait()
        return httpx.Response(200, headers={"Content-Type": MSGPACK}, content=encode(ANSWER))


@pytest.fixture(params=[True, False])
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    slow = Slow(tells=request.param)
    yield slow
    slow.may_answer.set()


def test_what_is_announced_is_sent_and_answered_later(slow: Slow) -> None:
    transport = HttpTransport(
        "http://authority", Credentials(token_for("phone", "ann"), lambda _: None), slow
    )
    call = Call(SyncRequest(1, 1))
    transport.announce(call)
    assert slow.is_sent
    slow.may_answer.set()
    assert transport.exchange(call) == ANSWER
    transport.close()
