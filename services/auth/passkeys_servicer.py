"""`tulle.auth.v1.PasskeysService`: from messages to use cases and back."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.auth.v1 import auth_pb2
from tulle.auth.v1 import passkeys_pb2 as pb

from mesh.call import Call
from services.auth.convert import passkey_to_pb, tokens_to_pb
from services.auth.domain.passkeys import Passkeys


@dataclass(frozen=True)
class PasskeysServicer:
    """The RPCs of PasskeysService; what each promises is said in its contract."""

    passkeys: Passkeys

    async def BeginPasskeyRegistration(
        self, request: pb.BeginPasskeyRegistrationRequest, call: Call
    ) -> pb.PasskeyCreation:
        options = await self.passkeys.begin_registration(call.caller, request.password, request.code)
        return pb.PasskeyCreation(options=options)

    async def FinishPasskeyRegistration(self, request: pb.FinishPasskeyRegistrationRequest, call: Call) -> pb.Passkey:
        added = await self.passkeys.finish_registration(call.caller, request.credential, request.name)
        return passkey_to_pb(added)

    async def BeginPasskeyLogIn(self, request: pb.BeginPasskeyLogInRequest, call: Call) -> pb.PasskeyChallenge:
        return pb.PasskeyChallenge(options=await self.passkeys.begin_log_in())

    async def FinishPasskeyLogIn(self, request: pb.FinishPasskeyLogInRequest, call: Call) -> auth_pb2.Tokens:
        return tokens_to_pb(await self.passkeys.finish_log_in(call.caller, request.credential, request.device))

    async def ListPasskeys(self, request: pb.ListPasskeysRequest, call: Call) -> pb.ListPasskeysResponse:
        own = await self.passkeys.list_passkeys(call.caller)
        return pb.ListPasskeysResponse(passkeys=map(passkey_to_pb, own))

    async def RenamePasskey(self, request: pb.RenamePasskeyRequest, call: Call) -> pb.Passkey:
        return passkey_to_pb(await self.passkeys.rename(call.caller, request.passkey_id, request.name))

    async def RemovePasskey(self, request: pb.RemovePasskeyRequest, call: Call) -> pb.RemovePasskeyResponse:
        await self.passkeys.remove(call.caller, request.passkey_id, request.password, request.code)
        return pb.RemovePasskeyResponse()
