"""`tulle.auth.v1.OrganisationsService`: from messages to use cases and back."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.auth.v1 import auth_pb2
from tulle.auth.v1 import organisations_pb2 as pb

from mesh.call import Call
from mesh.model import OrganisationId, UserId
from mesh.paging import PageTokens
from services.auth.convert import invitation_to_pb, member_to_pb, membership_to_pb, role_from_pb
from services.auth.domain.organisations import Organisations
from services.auth.domain.sessions import Sessions


@dataclass(frozen=True)
class OrganisationsServicer:
    """The RPCs of OrganisationsService; what each promises is said in its contract."""

    organisations: Organisations
    sessions: Sessions
    pages: PageTokens

    async def CreateOrganisation(self, request: pb.CreateOrganisationRequest, call: Call) -> pb.Organisation:
        return membership_to_pb(await self.organisations.create(call.caller, request.name), call.caller)

    async def ListOrganisations(self, request: pb.ListOrganisationsRequest, call: Call) -> pb.ListOrganisationsResponse:
        own = await self.organisations.memberships(call.caller)
        return pb.ListOrganisationsResponse(organisations=[membership_to_pb(one, call.caller) for one in own])

    async def SwitchOrganisation(self, request: pb.SwitchOrganisationRequest, call: Call) -> auth_pb2.AccessToken:
        token, life = await self.sessions.switch(call.caller, OrganisationId(request.organisation_id))
        return auth_pb2.AccessToken(access_token=token, expires_in=life, organisation_id=request.organisation_id)

    async def LeaveOrganisation(self, request: pb.LeaveOrganisationRequest, call: Call) -> pb.LeaveOrganisationResponse:
        await self.organisations.leave(call.caller, OrganisationId(request.organisation_id))
        return pb.LeaveOrganisationResponse()

    async def GetOrganisation(self, request: pb.GetOrganisationRequest, call: Call) -> pb.Organisation:
        return membership_to_pb(await self.organisations.current(call.caller), call.caller)

    async def RenameOrganisation(self, request: pb.RenameOrganisationRequest, call: Call) -> pb.Organisation:
        return membership_to_pb(await self.organisations.rename(call.caller, request.name), call.caller)

    async def ListMembers(self, request: pb.ListMembersRequest, call: Call) -> pb.ListMembersResponse:
        query = (call.method.path, call.caller.signed_in.organisation_id)
        after = self.pages.open(request.page_token, *query)
        page = await self.organisations.list_members(call.caller, after, request.page_size)
        return pb.ListMembersResponse(
            members=map(member_to_pb, page.members), next_page_token=self.pages.seal(page.after, *query)
        )

    async def ChangeMemberRole(self, request: pb.ChangeMemberRoleRequest, call: Call) -> pb.Member:
        role = role_from_pb(request.role)
        return member_to_pb(await self.organisations.change_role(call.caller, UserId(request.user_id), role))

    async def RemoveMember(self, request: pb.RemoveMemberRequest, call: Call) -> pb.RemoveMemberResponse:
        await self.organisations.remove(call.caller, UserId(request.user_id))
        return pb.RemoveMemberResponse()

    async def InviteMember(self, request: pb.InviteMemberRequest, call: Call) -> pb.Invitation:
        role = role_from_pb(request.role)
        return invitation_to_pb(await self.organisations.invite(call.caller, request.email, role))

    async def ListInvitations(self, request: pb.ListInvitationsRequest, call: Call) -> pb.ListInvitationsResponse:
        found = await self.organisations.list_invitations(call.caller)
        return pb.ListInvitationsResponse(invitations=map(invitation_to_pb, found))

    async def RevokeInvitation(self, request: pb.RevokeInvitationRequest, call: Call) -> pb.RevokeInvitationResponse:
        await self.organisations.revoke_invitation(call.caller, request.invitation_id)
        return pb.RevokeInvitationResponse()

    async def AcceptInvitation(self, request: pb.AcceptInvitationRequest, call: Call) -> pb.Organisation:
        return membership_to_pb(await self.organisations.accept(call.caller, request.token), call.caller)
