"""Codes of a device and recovery codes."""

from __future__ import annotations

import pytest

from services.auth.domain.codes import STEP
from services.auth.domain.entities import MailKind
from services.auth.domain.errors import BadChallenge, BadCode, BadCredentials, PasswordTooShort
from tests.unit.services.auth.conftest import NOBODY, PASSWORD, World

SHORT = "blue-glass"


async def test_a_code_is_used_once(world: World) -> None:
    """A code that was used, or an earlier one, is refused; the next one is taken."""
    await world.sign_up()
    seed, _ = await world.enrol(await world.caller())
    challenge = await world.challenge()
    for offset in (0, -1):
        with pytest.raises(BadCode):
            await world.sessions.complete(NOBODY, challenge, world.code(seed, offset))
    assert await world.sessions.complete(NOBODY, challenge, world.code(seed, 1))
    with pytest.raises(BadChallenge):
        await world.sessions.complete(NOBODY, challenge, world.code(seed, 1))


@pytest.mark.parametrize(("offset", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_clocks_may_differ_by_one_step(world: World, offset: int, taken: bool) -> None:
    """The code of now, the one before and the one after are taken, no other."""
    await world.sign_up()
    seed, _ = await world.enrol(await world.caller())
    world.wait(seconds=10 * STEP)
    answer = world.sessions.complete(NOBODY, await world.challenge(), world.code(seed, offset))
    if taken:
        assert await answer
        return
    with pytest.raises(BadCode):
        await answer


async def test_digits_of_other_scripts_are_wrong(world: World) -> None:
    """Six digits that are not ASCII are a wrong code."""
    await world.sign_up()
    await world.enrol(await world.caller())
    with pytest.raises(BadCode):
        await world.sessions.complete(NOBODY, await world.challenge(), "１２３４５６")


async def test_a_recovery_code_is_used_once(world: World) -> None:
    """A recovery code opens once, however it is typed, and is not stored as it is."""
    await world.sign_up()
    _, codes = await world.enrol(await world.caller())
    typed = codes[0].replace("-", " ").upper()
    assert await world.sessions.complete(NOBODY, await world.challenge(), typed)
    with pytest.raises(BadCode):
        await world.sessions.complete(NOBODY, await world.challenge(), codes[0])
    assert codes[1] not in repr(vars(world.store))


async def test_a_seed_is_sealed(world: World) -> None:
    """The store never sees a seed in clear."""
    await world.sign_up()
    seed, _ = await world.enrol(await world.caller())
    assert seed not in repr(vars(world.store))


async def test_a_reset_keeps_the_second_factor(world: World) -> None:
    """After a reset the new password alone does not log in, and all sessions have ended."""
    await world.sign_up()
    await world.enrol(await world.caller())
    await world.accounts.request_reset(NOBODY, "ADA@example.com")
    token = world.mailed(MailKind.RESET)
    await world.accounts.reset_password(NOBODY, token, SHORT)
    assert world.store.kept == {}
    assert await world.challenge(SHORT)
    with pytest.raises(BadCredentials):
        await world.challenge(PASSWORD)


async def test_a_short_password_keeps_its_second_factor(world: World) -> None:
    """A password that may not stand alone keeps the second factor on."""
    await world.sign_up()
    ada = await world.caller()
    seed, _ = await world.enrol(ada)
    world.wait(seconds=STEP)
    await world.accounts.change_password(ada, PASSWORD, SHORT, world.code(seed))
    world.wait(seconds=STEP)
    with pytest.raises(PasswordTooShort):
        await world.second_factor.disable(ada, SHORT, world.code(seed))
    assert await world.challenge(SHORT)


async def test_a_refusal_for_the_password_uses_no_code_up(world: World) -> None:
    """Who may not switch the factor off, since the password is too short alone, can still use the same code."""
    await world.sign_up()
    ada = await world.caller()
    seed, _ = await world.enrol(ada)
    world.wait(seconds=STEP)
    await world.accounts.change_password(ada, PASSWORD, SHORT, world.code(seed))
    world.wait(seconds=STEP)
    with pytest.raises(PasswordTooShort):
        await world.second_factor.disable(ada, SHORT, world.code(seed))
    assert await world.second_factor.regenerate_codes(ada, SHORT, world.code(seed))


async def test_a_factor_is_changed_after_showing_both(world: World) -> None:
    """Without the right password and a fresh code the second factor stays."""
    await world.sign_up()
    ada = await world.caller()
    seed, _ = await world.enrol(ada)
    with pytest.raises(BadCredentials):
        await world.second_factor.disable(ada, "wrong", world.code(seed, 1))
    with pytest.raises(BadCode):
        await world.second_factor.disable(ada, PASSWORD, world.code(seed))
    await world.second_factor.disable(ada, PASSWORD, world.code(seed, 1))
    assert await world.log_in()
