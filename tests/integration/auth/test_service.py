"""AuthService through the whole pipeline and PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pyotp
import pytest
from tulle.auth.v1 import auth_pb2 as pb

from mesh.model import Unauthenticated
from services.auth.domain.errors import BadCode, BadCredentials, BadToken
from tests.integration.auth.conftest import Process

ADA = "ada@example.com"
PASSWORD = "a door of blue glass"


async def verified(process: Process, email: str = ADA) -> str:
    await process.stub().SignUp(pb.SignUpRequest(email=email))
    request = pb.VerifyEmailRequest(token=await process.token(email), password=PASSWORD)
    return str((await process.stub().VerifyEmail(request)).user_id)


async def log_in(process: Process, password: str = PASSWORD) -> Any:
    return await process.stub().LogIn(pb.LogInRequest(email=ADA, password=password, device="test"))


async def test_from_sign_up_to_second_factor(process: Process) -> None:
    """Sign up, read the mail, verify, log in, enrol a device, log in with its code or a recovery code."""
    with pytest.raises(BadCredentials):
        await log_in(process)
    user_id = await verified(process)
    first = (await log_in(process)).tokens
    assert first.user_id == user_id
    mine = process.stub(first.access_token)
    enrolled = await mine.EnrollTotp(pb.EnrollTotpRequest(password=PASSWORD))
    device, now = pyotp.TOTP(enrolled.secret), int(time.time())
    codes = (await mine.ConfirmTotp(pb.ConfirmTotpRequest(totp_code=device.at(now)))).recovery_codes
    challenge = (await log_in(process)).challenge.challenge_token
    used = pb.CompleteSecondFactorRequest(challenge_token=challenge, totp_code=device.at(now))
    with pytest.raises(BadCode):
        await process.stub().CompleteSecondFactor(used)
    fresh = pb.CompleteSecondFactorRequest(challenge_token=challenge, totp_code=device.at(now + 30))
    assert (await process.stub().CompleteSecondFactor(fresh)).user_id == user_id
    challenge = (await log_in(process)).challenge.challenge_token
    recovery = pb.CompleteSecondFactorRequest(challenge_token=challenge, recovery_code=codes[0])
    assert (await process.stub().CompleteSecondFactor(recovery)).user_id == user_id
    assert [kind for kind, _ in await process.mails(ADA)] == ["verify", "totp_enabled"]


async def test_a_token_verifies_once(process: Process) -> None:
    """A mailed token opens an account once; a second sign-up only tells the owner."""
    await verified(process)
    token = await process.token(ADA)
    with pytest.raises(BadToken):
        await process.stub().VerifyEmail(pb.VerifyEmailRequest(token=token, password=PASSWORD))
    await process.stub().SignUp(pb.SignUpRequest(email=ADA.upper()))
    assert [kind for kind, _ in await process.mails(ADA.upper())] == ["already_registered"]


async def test_a_reset_ends_every_session(process: Process) -> None:
    """A reset sets the password and ends all sessions, at once for methods that ask auth."""
    await verified(process)
    tokens = (await log_in(process)).tokens
    await process.stub().RequestPasswordReset(pb.RequestPasswordResetRequest(email=ADA))
    reset = pb.ResetPasswordRequest(token=await process.token(ADA), new_password="another door of glass")
    await process.stub().ResetPassword(reset)
    with pytest.raises(Unauthenticated):
        await process.stub().Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token))
    with pytest.raises(Unauthenticated):
        await process.stub(tokens.access_token).ListSessions(pb.ListSessionsRequest())
    with pytest.raises(BadCredentials):
        await log_in(process)
    assert (await log_in(process, "another door of glass")).tokens.access_token


async def test_a_log_out_is_seen_at_once(process: Process) -> None:
    """A session that was logged out neither refreshes nor passes for alive."""
    await verified(process)
    tokens = (await log_in(process)).tokens
    living = pb.CheckSessionRequest(session_id=tokens.session_id)
    assert (await process.accounts().CheckSession(living)).user_id == tokens.user_id
    await process.stub(tokens.access_token).LogOut(pb.LogOutRequest())
    for ended in (
        process.accounts().CheckSession(living),
        process.stub().Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token)),
    ):
        with pytest.raises(Unauthenticated):
            await ended


async def test_a_recovery_code_opens_one_of_many(process: Process) -> None:
    """Of many log-ins at once with one recovery code exactly one is completed."""
    await verified(process)
    mine = process.stub((await log_in(process)).tokens.access_token)
    enrolled = await mine.EnrollTotp(pb.EnrollTotpRequest(password=PASSWORD))
    code = pyotp.TOTP(enrolled.secret).at(int(time.time()))
    recovery = (await mine.ConfirmTotp(pb.ConfirmTotpRequest(totp_code=code))).recovery_codes[0]
    challenges = [(await log_in(process)).challenge.challenge_token for _ in range(5)]
    requests = [pb.CompleteSecondFactorRequest(challenge_token=one, recovery_code=recovery) for one in challenges]
    done = await asyncio.gather(*(process.stub().CompleteSecondFactor(one) for one in requests), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["BadCode"] * 4 + ["Tokens"]
