"""`tulle.billing.v1.WebhooksService`: what the payment provider tells us."""

from __future__ import annotations

from tulle.billing.v1 import webhooks_pb2 as pb

from mesh.call import Call
from services.billing.domain.webhooks import Webhooks

SIGNATURE = "stripe-signature"


class WebhooksServicer:
    """The RPCs of WebhooksService; what each promises is said in protos/tulle/billing/v1/webhooks.proto."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.webhooks = webhooks

    async def ReceiveStripeEvent(
        self, request: pb.ReceiveStripeEventRequest, call: Call
    ) -> pb.ReceiveStripeEventResponse:
        await self.webhooks.receive(call.caller, request.event.data, call.metadata.get(SIGNATURE, ""))
        return pb.ReceiveStripeEventResponse()
