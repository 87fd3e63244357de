"""The API's description is complete and true: every route is in it, and what it shows can be sent."""

import msgspec
import pytest

from rightfit_server.http.openapi import OPERATIONS, description
from tests.server.world import World

pytestmark = pytest.mark.anyio


async def test_every_route_is_described(world: World) -> None:
    described = {(one.verb.upper(), one.path) for one in OPERATIONS}
    routed = {
        (method, str(route.path).replace(":str", ""))
        for route in world.app.routes
        for method in route.methods
        if method not in ("OPTIONS", "HEAD")
    }
    assert routed == described | {("GET", "/openapi.json")}


async def test_the_document_is_served_and_whole(world: World) -> None:
    response = await world.http.get("/openapi.json")
    document = response.json()
    assert response.content == description()
    assert document["openapi"].startswith("3.1")
    text = response.text
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text or name == "Schema"
    for reference in set(text.split('"$ref":"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in document["components"]["schemas"]


def test_examples_are_messages() -> None:
    for operation in OPERATIONS:
        assert msgspec.convert(msgspec.to_builtins(operation.example), operation.answers)
        if operation.takes is not None:
            shown = msgspec.to_builtins(operation.example_taken)
            assert msgspec.convert(shown, operation.takes) == operation.example_taken
