"""The passwords that everybody tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.common import common_passwords
from services.auth.domain import passwords
from services.auth.domain.errors import WeakPassword

COMMON = common_passwords()
ADDRESS = "ada.lovelace@example.com"


def refused(password: str, second_factor: bool = True) -> bool:
    try:
        passwords.check(password, ADDRESS, second_factor, COMMON, "password")
    except WeakPassword:
        return True
    return False


@pytest.mark.parametrize("password", ["password", "qwertyuiop", "1q2w3e4r5t", "trustno1", "iloveyou"])
def test_leaked_passwords_are_known(password: str) -> None:
    """Passwords that lead every list are among them, parts of them and several at once are not."""
    assert password in COMMON
    assert password[1:] + "é" not in COMMON
    assert f"{password}\n{password}" not in COMMON


@pytest.mark.parametrize(
    "password",
    [
        "Password",
        "PASSWORD1234567",
        "12345678901234567890",
        "123456789012345",
        "passwordpassword",
        "passwordpasswor",
        "123 password 123",
        "dragon!!!!!!!!!!!!",
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "tulle tulle tulle",
        "ab ab ab ab ab ab",
        "ada.lovelace12345",
        "Ada.Lovelace-2026",
    ],
)
def test_their_disguises_are_refused(password: str) -> None:
    """A common password with digits around it, something said often, and the own address are refused."""
    assert refused(password)


@pytest.mark.parametrize(
    "password", ["xk2q9v7x", "glass door 7", "correct horse battery", "ada.lovelace and her engine", "ленивый кот"]
)
def test_others_are_taken(password: str) -> None:
    """With a second factor eight characters that nobody tries will do."""
    assert not refused(password)


@given(st.text(min_size=1, max_size=7), st.integers(3, 9))
def test_saying_it_often_makes_no_password(word: str, times: int) -> None:
    """Less than eight characters stay less than eight, however often they are said."""
    assert refused(word * times)


@given(st.text(max_size=14))
def test_short_passwords_do_not_stand_alone(password: str) -> None:
    """Fewer than fifteen characters are refused without a second factor, whatever they are."""
    assert refused(password, second_factor=False)
