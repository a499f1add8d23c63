"""`tulle.users.v1.UsersService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.users.v1 import users_pb2 as pb

from mesh.call import Call
from mesh.model import UserId
from mesh.paging import PageTokens
from services.users.convert import (
    preferences_change_from_pb,
    preferences_to_pb,
    profile_change_from_pb,
    profile_to_pb,
)
from services.users.domain import Users


class UsersServicer:
    """The RPCs of UsersService; what each promises is said in protos/tulle/users/v1/users.proto."""

    def __init__(self, users: Users, pages: PageTokens) -> None:
        self.users = users
        self.pages = pages

    async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> pb.Profile:
        return profile_to_pb(await self.users.profile(call.caller, request.user_id))

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, call: Call) -> pb.Profile:
        return profile_to_pb(await self.users.update_profile(call.caller, profile_change_from_pb(request)))

    async def GetPreferences(self, request: pb.GetPreferencesRequest, call: Call) -> pb.Preferences:
        return preferences_to_pb(await self.users.preferences(call.caller))

    async def UpdatePreferences(self, request: pb.UpdatePreferencesRequest, call: Call) -> pb.Preferences:
        change = preferences_change_from_pb(request)
        return preferences_to_pb(await self.users.update_preferences(call.caller, change))

    async def BatchGetProfiles(self, request: pb.BatchGetProfilesRequest, call: Call) -> pb.BatchGetProfilesResponse:
        profiles = await self.users.batch([UserId(user_id) for user_id in request.user_ids])
        return pb.BatchGetProfilesResponse(profiles=map(profile_to_pb, profiles))

    async def ListUsers(self, request: pb.ListUsersRequest, call: Call) -> pb.ListUsersResponse:
        query = (call.method.path, request.handle_prefix)
        after = self.pages.open(request.page_token, *query)
        page = await self.users.list_users(request.handle_prefix, after, request.page_size)
        return pb.ListUsersResponse(
            users=map(profile_to_pb, page.profiles),
            next_page_token=self.pages.seal(page.after, *query),
        )
