"""gRPC at the edge: the same policy as REST, with proper statuses."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.integration.envoy.rig import (
    BATCH_GET,
    CHECK_SESSION,
    GET_JWKS,
    GET_PROFILE,
    HEALTH,
    LIST_USERS,
    LOG_IN,
    REFLECTION,
    Rig,
    refused,
    slow,
    status,
)

S = grpc.StatusCode


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (GET_PROFILE, S.OK),
        (GET_JWKS, S.OK),
        (LIST_USERS, S.PERMISSION_DENIED),
        (BATCH_GET, S.PERMISSION_DENIED),
        (CHECK_SESSION, S.PERMISSION_DENIED),
        (HEALTH, S.PERMISSION_DENIED),
        (REFLECTION, S.PERMISSION_DENIED),
        ("/tulle.users.v1.UsersService/Nothing", S.PERMISSION_DENIED),
        ("/v1/users/me", S.PERMISSION_DENIED),
    ],
)
def test_only_what_the_contract_opens_is_there(mesh: Rig, path: str, expected: grpc.StatusCode) -> None:
    """A signed-in user calls the methods that list the gateway and need no role; nothing else answers."""
    metadata = (("authorization", f"Bearer {mesh.token()}"),)
    with mesh.edge() as channel:
        assert status(channel, path, metadata=metadata) == expected


def test_a_role_opens_what_needs_it(mesh: Rig) -> None:
    """The roles of the token decide."""
    metadata = (("authorization", f"Bearer {mesh.token(roles=['administrator'])}"),)
    with mesh.edge() as channel:
        assert status(channel, LIST_USERS, metadata=metadata) == S.OK


def test_without_a_token_a_call_is_unauthenticated(mesh: Rig) -> None:
    """Where an end user is required, a missing token is UNAUTHENTICATED: words in the message, the rest in details."""
    with mesh.edge() as channel:
        code, message, reason, _ = refused(channel, GET_PROFILE)
    assert (code, reason) == (S.UNAUTHENTICATED, "gateway.tulle/UNAUTHENTICATED")
    assert message == "A valid access token is needed. Jwt is missing."


def test_what_is_not_offered_is_denied_with_details(mesh: Rig) -> None:
    """A refusal over gRPC carries a google.rpc.Status as a service's own would."""
    with mesh.edge() as channel:
        assert refused(channel, BATCH_GET)[::2] == (S.PERMISSION_DENIED, "gateway.tulle/DENIED")


def test_a_slow_service_is_deadline_exceeded(mesh: Rig) -> None:
    """The contract's deadline holds for a client that waits longer, as DEADLINE_EXCEEDED and not UNAVAILABLE."""
    mesh.services["users"].answers[GET_PROFILE] = slow(3)
    metadata = (("authorization", f"Bearer {mesh.token()}"),)
    started = time.monotonic()
    with mesh.edge() as channel:
        assert status(channel, GET_PROFILE, metadata=metadata, timeout=30) == S.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 2.5


def test_over_its_limit_a_caller_is_told_resource_exhausted(mesh: Rig) -> None:
    """Clients retry UNAVAILABLE; over a limit they must not."""
    with mesh.edge() as channel:

        def once(_: int) -> grpc.StatusCode:
            return status(channel, LOG_IN)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(once, range(40)))
        code, _, reason, pause = refused(channel, LOG_IN)
    assert set(answers) == {S.OK, S.RESOURCE_EXHAUSTED}
    assert answers.count(S.OK) in range(30, 33)
    assert (code, reason, pause) == (S.RESOURCE_EXHAUSTED, "gateway.tulle/RATE_LIMITED", 2.0)


def test_a_message_over_the_limit_of_grpc_is_resource_exhausted(mesh: Rig) -> None:
    """Bodies over 4 MiB are the service's to refuse, with gRPC's own status."""
    metadata = (("authorization", f"Bearer {mesh.token()}"),)
    with mesh.edge() as channel:
        assert status(channel, GET_PROFILE, b"x" * (5 * 2**20), metadata=metadata) == S.RESOURCE_EXHAUSTED
