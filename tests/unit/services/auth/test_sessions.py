"""Staying logged in."""

from __future__ import annotations

import pytest

from services.auth.domain.entities import REFRESH_GRACE, SESSION_IDLE, SESSION_LIFE
from services.auth.domain.errors import BadCredentials, BadRefreshToken, RefreshTokenReused
from services.auth.domain.refresh import RefreshToken
from services.auth.hashing import TooBusy
from tests.unit.services.auth.conftest import KEY, World


async def test_each_use_makes_a_new_token(world: World) -> None:
    """A refresh token is rotated at each use, and only its hash is stored."""
    await world.sign_up()
    first = await world.log_in()
    second = await world.sessions.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    secret = RefreshToken.opened(second.refresh_token, KEY).secret
    assert len(secret) * 8 >= 128
    assert secret not in {kept.token for kept in world.store.kept.values()}


async def test_a_lost_answer_is_given_again(world: World) -> None:
    """Within the grace the same successor is given again; after it, or once that was used, the session ends."""
    await world.sign_up()
    first = await world.log_in()
    second = await world.sessions.refresh(first.refresh_token)
    world.now += REFRESH_GRACE
    assert (await world.sessions.refresh(first.refresh_token)).refresh_token == second.refresh_token
    world.wait(seconds=1)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token)
    with pytest.raises(BadRefreshToken):
        await world.sessions.refresh(second.refresh_token)


async def test_a_replay_ends_the_family(world: World) -> None:
    """A spent token ends its session, whoever has the newest, even within the grace."""
    await world.sign_up()
    first = await world.log_in()
    second = await world.sessions.refresh(first.refresh_token)
    third = await world.sessions.refresh(second.refresh_token)
    with pytest.raises(RefreshTokenReused):
        await world.sessions.refresh(first.refresh_token)
    with pytest.raises(BadRefreshToken):
        await world.sessions.refresh(third.refresh_token)


async def test_made_up_tokens_end_nothing(world: World) -> None:
    """A token that we did not make, with a real session's id, is refused and ends no session."""
    await world.sign_up()
    issued = await world.log_in()
    forged = RefreshToken.first(issued.session_id).sealed(b"another key")
    for token in (forged, issued.refresh_token[:-1], f"{issued.session_id}.0.", "", "é.1.2.3"):
        with pytest.raises(BadRefreshToken):
            await world.sessions.refresh(token)
    assert await world.sessions.refresh(issued.refresh_token)


async def test_a_session_has_an_end(world: World) -> None:
    """A session that is refreshed all the time ends all the same."""
    await world.sign_up()
    token, end = (await world.log_in()).refresh_token, world.now + SESSION_LIFE
    while world.now + SESSION_IDLE / 2 < end:
        token = (await world.sessions.refresh(token)).refresh_token
        world.now += SESSION_IDLE / 2
    world.now = end
    with pytest.raises(BadRefreshToken):
        await world.sessions.refresh(token)


async def test_an_idle_session_ends(world: World) -> None:
    """A session that is not refreshed for SESSION_IDLE has ended."""
    await world.sign_up()
    token = (await world.log_in()).refresh_token
    world.now += SESSION_IDLE
    with pytest.raises(BadRefreshToken):
        await world.sessions.refresh(token)


async def test_a_busy_platform_counts_no_failure(world: World) -> None:
    """An attempt that nobody could judge is taken back, so that load locks nobody out; a wrong password counts."""
    await world.sign_up()
    world.throttle.counted, world.hasher.busy = 0, True
    with pytest.raises(TooBusy):
        await world.log_in()
    assert world.throttle.counted == 0
    world.hasher.busy = False
    with pytest.raises(BadCredentials):
        await world.log_in("a wrong password")
    assert world.throttle.counted == 1
