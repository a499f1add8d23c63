"""`tulle.notifications.v1`: from messages to the store and back; the contract says what each RPC promises."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.notifications.v1 import notifications_pb2 as pb

from mesh.call import Call
from services.notifications.convert import delivery_to_pb
from services.notifications.domain.deliveries import Store
from services.notifications.limits import DELIVERIES_TOLD


@dataclass(frozen=True)
class NotificationsServicer:
    """The RPCs of NotificationsService."""

    store: Store

    async def WhyNotification(self, request: pb.WhyNotificationRequest, call: Call) -> pb.WhyNotificationResponse:
        user_id = call.caller.signed_in.user_id
        found = await self.store.list_deliveries(user_id, request.event_id, request.kind, int(DELIVERIES_TOLD))
        return pb.WhyNotificationResponse(deliveries=map(delivery_to_pb, found))


@dataclass(frozen=True)
class DeliveriesServicer:
    """The RPCs of DeliveriesService."""

    store: Store

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, call: Call) -> pb.ListDeliveriesResponse:
        asked = (request.user_id, request.event_id, request.kind)
        found = await self.store.list_deliveries(*asked, int(DELIVERIES_TOLD))
        return pb.ListDeliveriesResponse(deliveries=map(delivery_to_pb, found))
