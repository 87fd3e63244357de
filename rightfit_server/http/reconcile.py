"""Comparing and mending: a replica finds out where its copy differs, and gives back what a restore has lost.

First the offers are taken in, as one commit; then everything asked for is answered as of one moment.
"""

from functools import partial

from litestar import Response, post

from rightfit_server.feed.differences import Differences, check_request
from rightfit_server.http.bodies import asked_type, read, write
from rightfit_server.http.caller import answered, identify, writing_as
from rightfit_server.http.protocol import check_protocol
from rightfit_server.http.services import AnyRequest, Services, services_of
from rightfit_server.ports.storage import Chains, Identity, Viewer
from rightfit_sync.limits import PROTOCOL_VERSION
from rightfit_sync.wire.messages import ReconcileRequest, Refused
from rightfit_sync.wire.packed import PackedReconcileResponse


@post("/v1/reconcile", status_code=200)
async def reconcile(request: AnyRequest) -> Response[bytes]:
    """Compare, and take offers in."""
    services, caller = services_of(request), identify(request)
    message = await read(request, ReconcileRequest)
    check_protocol(message.protocol_version)
    check_request(message)
    identity = writing_as(caller, message.device_id)
    refused = []
    if message.offers:
        refused = list(await answered(services, identity, partial(_offer, services, identity, message)))
    found: Differences = await answered(
        services, identity, partial(services.comparing.compare, identity, message)
    )
    response = PackedReconcileResponse(
        protocol_version=min(message.protocol_version, PROTOCOL_VERSION),
        epoch=found.epoch,
        kinds=sorted(services.application.schema.kinds),
        cursor=found.cursor,
        tags=found.tags,
        buckets=found.buckets,
        listed=found.listed,
        rows=found.rows,
        refused=refused,
    )
    return write(request, response, default=asked_type(request))


async def _offer(services: Services, identity: Identity, message: ReconcileRequest) -> list[Refused]:
    async def guard(transaction: Chains, viewer: Viewer) -> None:
        await services.lineage.place(transaction, viewer, identity, message.cursor)

    refused = await services.offers.take(identity, message.offers, guard)
    services.waiting.wake(identity.tenant_id)
    return list(refused)
