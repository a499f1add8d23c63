"""What every service asks auth, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tulle.auth.v1 import auth_pb2 as pb
from tulle.policy.v1 import policy_pb2

from infra.settings import ServiceSettings
from mesh import errors
from mesh.auth import Sessions, token_verifier
from mesh.model import Error, OrganisationId, SessionId, Unauthenticated, Unavailable, User, UserId
from tests.unit.mesh.test_tokens import CLAIMS, ISSUER, KEY, NOW, jwks, token

ADA = User(UserId("user_1"), OrganisationId("o"), SessionId("s"), frozenset({"stale"}))


class SessionEnded(Unauthenticated):
    """As auth says it."""


class MembershipEnded(Unauthenticated):
    """As auth says it."""


@dataclass
class Auth:
    """Plays the channel to auth: each method answers `answer`, or raises it."""

    answer: Any

    def stub(self, kind: Callable[[Any], Any]) -> Any:
        return self

    async def GetJwks(self, request: pb.GetJwksRequest) -> Any:
        return self._answered()

    async def CheckSession(self, request: pb.CheckSessionRequest) -> Any:
        assert (request.session_id, request.organisation_id) == (ADA.session_id, ADA.organisation_id)
        return self._answered()

    def _answered(self) -> Any:
        if isinstance(self.answer, Error):
            status = errors.to_status(self.answer, "auth.tulle")
            raise errors.from_status(status.code, status.message, status)
        return self.answer


def sessions(answer: Any) -> Sessions:
    return Sessions(Auth(answer))  # type: ignore[arg-type]


async def test_a_living_session_has_the_roles_of_now() -> None:
    """Roles come from auth, not from the token."""
    answer = pb.CheckSessionResponse(user_id="user_1", roles=[policy_pb2.ROLE_ADMINISTRATOR])
    assert (await sessions(answer).check(ADA)).roles == frozenset({"administrator"})


async def test_a_role_of_a_later_release_is_none_here() -> None:
    """While an installation is upgraded auth may know roles that no method of ours asks for."""
    answer = pb.CheckSessionResponse(user_id="user_1", roles=[policy_pb2.ROLE_OWNER, 99])  # type: ignore[list-item]
    assert (await sessions(answer).check(ADA)).roles == frozenset({"owner"})


async def test_a_key_stays_within_its_scopes() -> None:
    """What a token was narrowed to, asking auth does not widen."""
    key = replace(ADA, scopes=frozenset({"users.read"}))
    assert (await sessions(pb.CheckSessionResponse(user_id="user_1")).check(key)).scopes == key.scopes


async def test_an_ended_membership_is_ours_to_tell() -> None:
    """Whoever is no longer in the organisation of their token is told so, by any method."""
    with pytest.raises(Unauthenticated) as refused:
        await sessions(MembershipEnded()).check(ADA)
    assert (refused.value.reason, refused.value.domain) == ("MEMBERSHIP_ENDED", "")
    assert refused.value.reason in errors.PLATFORM


@pytest.mark.parametrize("answer", [SessionEnded(), pb.CheckSessionResponse(user_id="user_2")])
async def test_an_ended_session_is_ours_to_tell(answer: Any) -> None:
    """A session that has ended, or is another's, is an answer that any method may give."""
    with pytest.raises(Unauthenticated) as refused:
        await sessions(answer).check(ADA)
    assert (refused.value.reason, refused.value.domain) == ("SESSION_ENDED", "")


@pytest.mark.parametrize("answer", [Unavailable(), Unauthenticated()])
async def test_a_failing_check_is_no_ended_session(answer: Error) -> None:
    """When auth cannot say, or refuses us, the user is not told to log in again."""
    with pytest.raises(type(answer)) as refused:
        await sessions(answer).check(ADA)
    assert refused.value.reason not in ("SESSION_ENDED", "MEMBERSHIP_ENDED")


async def test_tokens_are_verified_with_auths_keys(tmp_path: Path) -> None:
    """The keys come from auth's key set, and stay in the state folder."""
    keys = [pb.Jwk(**key) for key in jwks(KEY)["keys"]]
    settings = ServiceSettings(
        workload="users", run_dir=tmp_path, state_dir=tmp_path, secrets_dir=tmp_path, public_url=ISSUER
    )
    verifier = token_verifier(Auth(pb.Jwks(keys=keys)), settings)  # type: ignore[arg-type]
    verifier._clock = lambda: NOW
    assert (await verifier.verify(token()))[0].user_id == CLAIMS["sub"]
    assert (tmp_path / "jwks.json").exists()
