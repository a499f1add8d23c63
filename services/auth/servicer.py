"""`tulle.auth.v1`: from messages to use cases and back; the contract says what each RPC promises."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.auth.v1 import auth_pb2 as pb
from tulle.auth.v1 import contacts_pb2

from mesh.call import Call
from mesh.model import OrganisationId, SessionId, UserId
from services.auth.convert import (
    account_roles_to_pb,
    contact_to_pb,
    jwks_to_pb,
    letter_to_pb,
    living_to_pb,
    outcome_to_pb,
    role_from_pb,
    session_to_pb,
    tokens_to_pb,
)
from services.auth.domain.accounts import Accounts
from services.auth.domain.contacts import Contacts
from services.auth.domain.credentials import Credentials
from services.auth.domain.second_factor import SecondFactor
from services.auth.domain.sessions import Sessions
from services.auth.keys import KeyRing


@dataclass(frozen=True)
class AuthServicer:
    """The RPCs of AuthService."""

    accounts: Accounts
    sessions: Sessions
    second_factor: SecondFactor

    async def SignUp(self, request: pb.SignUpRequest, call: Call) -> pb.SignUpResponse:
        await self.accounts.sign_up(call.caller, request.email)
        return pb.SignUpResponse()

    async def VerifyEmail(self, request: pb.VerifyEmailRequest, call: Call) -> pb.VerifyEmailResponse:
        user_id = await self.accounts.verify_email(call.caller, request.token, request.password)
        return pb.VerifyEmailResponse(user_id=user_id)

    async def LogIn(self, request: pb.LogInRequest, call: Call) -> pb.LogInResponse:
        outcome = await self.sessions.log_in(call.caller, request.email, request.password, request.device)
        return outcome_to_pb(outcome)

    async def CompleteSecondFactor(self, request: pb.CompleteSecondFactorRequest, call: Call) -> pb.Tokens:
        code = request.totp_code or request.recovery_code
        return tokens_to_pb(await self.sessions.complete(call.caller, request.challenge_token, code))

    async def Refresh(self, request: pb.RefreshRequest, call: Call) -> pb.Tokens:
        return tokens_to_pb(await self.sessions.refresh(request.refresh_token))

    async def LogOut(self, request: pb.LogOutRequest, call: Call) -> pb.LogOutResponse:
        await self.sessions.log_out(call.caller)
        return pb.LogOutResponse()

    async def ListSessions(self, request: pb.ListSessionsRequest, call: Call) -> pb.ListSessionsResponse:
        current = call.caller.signed_in.session_id
        found = await self.sessions.list_sessions(call.caller)
        return pb.ListSessionsResponse(sessions=[session_to_pb(one, current) for one in found])

    async def RevokeSession(self, request: pb.RevokeSessionRequest, call: Call) -> pb.RevokeSessionResponse:
        await self.sessions.revoke(call.caller, SessionId(request.session_id))
        return pb.RevokeSessionResponse()

    async def RevokeAllSessions(self, request: pb.RevokeAllSessionsRequest, call: Call) -> pb.RevokeAllSessionsResponse:
        return pb.RevokeAllSessionsResponse(ended=await self.sessions.revoke_all(call.caller))

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, call: Call
    ) -> pb.RequestPasswordResetResponse:
        await self.accounts.request_reset(call.caller, request.email)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(self, request: pb.ResetPasswordRequest, call: Call) -> pb.ResetPasswordResponse:
        await self.accounts.reset_password(call.caller, request.token, request.new_password)
        return pb.ResetPasswordResponse()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, call: Call) -> pb.ChangePasswordResponse:
        await self.accounts.change_password(call.caller, request.password, request.new_password, request.code)
        return pb.ChangePasswordResponse()

    async def EnrollTotp(self, request: pb.EnrollTotpRequest, call: Call) -> pb.EnrollTotpResponse:
        seed, uri = await self.second_factor.enrol(call.caller, request.password)
        return pb.EnrollTotpResponse(secret=seed, otpauth_uri=uri)

    async def ConfirmTotp(self, request: pb.ConfirmTotpRequest, call: Call) -> pb.RecoveryCodes:
        return pb.RecoveryCodes(recovery_codes=await self.second_factor.confirm(call.caller, request.totp_code))

    async def DisableTotp(self, request: pb.DisableTotpRequest, call: Call) -> pb.DisableTotpResponse:
        await self.second_factor.disable(call.caller, request.password, request.code)
        return pb.DisableTotpResponse()

    async def RegenerateRecoveryCodes(self, request: pb.RegenerateRecoveryCodesRequest, call: Call) -> pb.RecoveryCodes:
        codes = await self.second_factor.regenerate_codes(call.caller, request.password, request.code)
        return pb.RecoveryCodes(recovery_codes=codes)

    async def GrantRole(self, request: pb.GrantRoleRequest, call: Call) -> pb.AccountRoles:
        role = role_from_pb(request.role)
        return account_roles_to_pb(await self.accounts.grant_role(call.caller, UserId(request.user_id), role))

    async def RevokeRole(self, request: pb.RevokeRoleRequest, call: Call) -> pb.AccountRoles:
        role = role_from_pb(request.role)
        return account_roles_to_pb(await self.accounts.revoke_role(call.caller, UserId(request.user_id), role))


@dataclass(frozen=True)
class KeysServicer:
    """The RPCs of KeysService."""

    keys: KeyRing

    async def GetJwks(self, request: pb.GetJwksRequest, call: Call) -> pb.Jwks:
        return jwks_to_pb(await self.keys.jwks())


@dataclass(frozen=True)
class AccountsServicer:
    """The RPCs of AccountsService."""

    accounts: Accounts
    credentials: Credentials

    async def CheckSession(self, request: pb.CheckSessionRequest, call: Call) -> pb.CheckSessionResponse:
        organisation_id = OrganisationId(request.organisation_id) if request.organisation_id else None
        return living_to_pb(await self.credentials.living(SessionId(request.session_id), organisation_id))

    async def AppointAdministrator(self, request: pb.AppointAdministratorRequest, call: Call) -> pb.AccountRoles:
        return account_roles_to_pb(await self.accounts.appoint_administrator(call.caller, request.email))


@dataclass(frozen=True)
class ContactsServicer:
    """The RPCs of ContactsService."""

    contacts: Contacts

    async def GetMail(self, request: contacts_pb2.GetMailRequest, call: Call) -> contacts_pb2.Mail:
        return letter_to_pb(await self.contacts.letter(request.mail_id))

    async def GetContact(self, request: contacts_pb2.GetContactRequest, call: Call) -> contacts_pb2.Contact:
        return contact_to_pb(await self.contacts.contact(UserId(request.user_id)))
