"""What every service asks auth: which keys verify access tokens, and whether a session still lives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from google.protobuf import json_format
from tulle.auth.v1 import auth_pb2 as pb
from tulle.auth.v1.auth_pb2_grpc import AccountsServiceStub, KeysServiceStub
from tulle.policy.v1 import policy_pb2

from infra.settings import ServiceSettings
from mesh.channel import Channel
from mesh.jwks import Keys
from mesh.model import Unauthenticated, User
from mesh.tokens import TokenVerifier


class SessionEnded(Unauthenticated):
    """The session has ended; log in again."""


class MembershipEnded(Unauthenticated):
    """You are no longer in this organisation; refresh your token."""


def token_verifier(channel: Channel, settings: ServiceSettings) -> TokenVerifier:
    """Verifies access tokens with auth's keys; the last good ones survive a restart."""
    stub: Any = channel.stub(KeysServiceStub)

    async def fetch() -> dict[str, Any]:
        return json_format.MessageToDict(await stub.GetJwks(pb.GetJwksRequest()))

    return TokenVerifier(Keys(fetch, settings.state_dir / "jwks.json"), settings.public_url)


class Sessions:
    """A `mesh.app.SessionCheck` that asks auth, for methods marked `fresh`."""

    def __init__(self, channel: Channel) -> None:
        self._stub: Any = channel.stub(AccountsServiceStub)

    async def check(self, user: User) -> User:
        """The user with the roles held now. Raises: SessionEnded; MembershipEnded; Unavailable."""
        asked = pb.CheckSessionRequest(session_id=user.session_id, organisation_id=user.organisation_id)
        try:
            session = await self._stub.CheckSession(asked)
        except Unauthenticated as error:
            ended = next((one for one in (SessionEnded, MembershipEnded) if one.reason == error.reason), None)
            if ended is None:
                raise
            raise ended from error
        if session.user_id != user.user_id:
            raise SessionEnded
        return replace(user, roles=_roles(session.roles))


def _roles(numbers: Iterable[policy_pb2.Role.ValueType]) -> frozenset[str]:
    """Their names in tokens. One of a later release, as while an installation is upgraded, no method here asks for."""
    known = set(policy_pb2.Role.values()).intersection(numbers)
    return frozenset(policy_pb2.Role.Name(one).removeprefix("ROLE_").lower() for one in known)
