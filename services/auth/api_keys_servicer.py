"""`tulle.auth.v1.ApiKeysService`: from messages to use cases and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tulle.auth.v1 import api_keys_pb2 as pb
from tulle.auth.v1 import auth_pb2

from mesh.call import Call
from mesh.model import Violation
from services.auth.convert import api_key_to_pb, new_api_key_to_pb
from services.auth.domain.api_keys import ApiKeys
from services.auth.domain.errors import BadExpireTime


@dataclass(frozen=True)
class ApiKeysServicer:
    """The RPCs of ApiKeysService; what each promises is said in its contract."""

    api_keys: ApiKeys

    async def ExchangeApiKey(self, request: pb.ExchangeApiKeyRequest, call: Call) -> auth_pb2.AccessToken:
        token, life, organisation_id = await self.api_keys.exchange(request.api_key)
        return auth_pb2.AccessToken(access_token=token, expires_in=life, organisation_id=organisation_id)

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, call: Call) -> pb.NewApiKey:
        key, secret = await self.api_keys.create(
            call.caller, request.name, list(request.scopes), _end(request), request.password, request.code
        )
        return new_api_key_to_pb(key, secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, call: Call) -> pb.ListApiKeysResponse:
        own = await self.api_keys.list_api_keys(call.caller)
        return pb.ListApiKeysResponse(api_keys=map(api_key_to_pb, own))

    async def RotateApiKey(self, request: pb.RotateApiKeyRequest, call: Call) -> pb.NewApiKey:
        grace = timedelta(seconds=request.grace_seconds) if request.HasField("grace_seconds") else None
        key, secret = await self.api_keys.rotate(
            call.caller, request.api_key_id, grace, _end(request), request.password, request.code
        )
        return new_api_key_to_pb(key, secret)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, call: Call) -> pb.RevokeApiKeyResponse:
        await self.api_keys.revoke(call.caller, request.api_key_id)
        return pb.RevokeApiKeyResponse()


def _end(request: pb.CreateApiKeyRequest | pb.RotateApiKeyRequest) -> datetime | None:
    """Raises: BadExpireTime for what no calendar has, which a timestamp may say over gRPC."""
    if not request.HasField("expire_time"):
        return None
    try:
        return request.expire_time.ToDatetime(UTC)
    except ValueError as error:
        raise BadExpireTime(violations=(Violation("expire_time", "is no time"),)) from error
