"""What every service asks of auth: the keys of tokens, and whether a session still lives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf import json_format

from mesh.channel import Channel
from mesh.model import Unauthenticated, User
from mesh.tokens import Fetch
from tulle.auth.v1 import auth_pb2 as pb
from tulle.auth.v1 import auth_pb2_grpc as rpc
from tulle.policy.v1 import policy_pb2


class SessionEnded(Unauthenticated):
    """This session has ended; log in again."""


def remote_keys(channel: Channel) -> Fetch:
    """Fetches the key set from auth."""
    keys = channel.stub(rpc.KeysServiceStub)

    async def fetch() -> dict[str, Any]:
        return json_format.MessageToDict(await keys.GetJwks(pb.GetJwksRequest()))

    return fetch


class RemoteSessions:
    """Asks auth about the session of each call to a method marked fresh."""

    def __init__(self, channel: Channel) -> None:
        self._accounts = channel.stub(rpc.AccountsServiceStub)

    async def check(self, user: User) -> User:
        """The user with the roles held now. Raises: SessionEnded; Unavailable."""
        try:
            now = await self._accounts.CheckSession(pb.CheckSessionRequest(session_id=user.session_id))
        except Unauthenticated as error:
            raise SessionEnded from error
        roles = frozenset(policy_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in now.roles)
        return replace(user, roles=roles)
