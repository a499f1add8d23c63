"""`tulle.notifications.v1.PreferencesService`: from messages to use cases and back."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.notifications.v1 import preferences_pb2 as pb

from mesh.call import Call
from services.notifications.domain.preferences import Choosing
from services.notifications.domain.unsubscribing import Links
from services.notifications.preferences_convert import preferences_change_from_pb, preferences_to_pb


@dataclass(frozen=True)
class PreferencesServicer:
    """The RPCs of PreferencesService; what each promises is said in its contract."""

    choosing: Choosing
    links: Links

    async def GetPreferences(self, request: pb.GetPreferencesRequest, call: Call) -> pb.Preferences:
        return preferences_to_pb(await self.choosing.preferences(call.caller.signed_in.user_id))

    async def UpdatePreferences(self, request: pb.UpdatePreferencesRequest, call: Call) -> pb.Preferences:
        change = preferences_change_from_pb(request)
        return preferences_to_pb(await self.choosing.update(call.caller.signed_in.user_id, change))

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, call: Call) -> pb.UnsubscribeResponse:
        await self.choosing.unsubscribe(*self.links.read(request.token))
        return pb.UnsubscribeResponse()
