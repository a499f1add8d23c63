"""`tulle.notifications.v1.PushService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.notifications.v1 import push_pb2 as pb

from mesh.call import Call
from services.notifications.push.convert import endpoint_to_pb, keys_from_pb
from services.notifications.push.domain import Pushes


class PushServicer:
    """The RPCs of PushService; what each promises is said in protos/tulle/notifications/v1/push.proto."""

    def __init__(self, pushes: Pushes, public_key: str) -> None:
        self.pushes, self.public_key = pushes, public_key

    async def GetVapidKey(self, request: pb.GetVapidKeyRequest, call: Call) -> pb.VapidKey:
        return pb.VapidKey(public_key=self.public_key)

    async def RegisterEndpoint(self, request: pb.RegisterEndpointRequest, call: Call) -> pb.PushEndpoint:
        return endpoint_to_pb(await self.pushes.register(call.caller, request.url, keys_from_pb(request)))

    async def ListEndpoints(self, request: pb.ListEndpointsRequest, call: Call) -> pb.ListEndpointsResponse:
        return pb.ListEndpointsResponse(endpoints=map(endpoint_to_pb, await self.pushes.endpoints(call.caller)))

    async def RemoveEndpoint(self, request: pb.RemoveEndpointRequest, call: Call) -> pb.RemoveEndpointResponse:
        await self.pushes.remove(call.caller, request.endpoint_id)
        return pb.RemoveEndpointResponse()
