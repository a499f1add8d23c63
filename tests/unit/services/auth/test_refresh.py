"""Refresh tokens and the tokens of mails, as laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model import SessionId, new_id
from services.auth.domain.errors import BadRefreshToken
from services.auth.domain.refresh import RefreshToken, mailed, mailed_token

KEY = b"key"
tokens = st.builds(
    RefreshToken,
    st.builds(lambda: SessionId(new_id("session"))),
    st.integers(0, 2**40),
    st.binary(min_size=32, max_size=32),
)
texts = st.text(max_size=60) | st.text("mail_.ab=-", max_size=60)


@given(tokens)
def test_what_is_sealed_is_opened(token: RefreshToken) -> None:
    """A client's token is the token that was sealed."""
    assert RefreshToken.opened(token.sealed(KEY), KEY) == token


@given(tokens, st.data())
def test_a_changed_token_is_refused(token: RefreshToken, data: st.DataObject) -> None:
    """Whichever character is changed, and under another key, a token does not open."""
    text = token.sealed(KEY)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != text[place]))
    for forged in (text[:place] + other + text[place + 1 :], token.sealed(b"other")):
        with pytest.raises(BadRefreshToken):
            RefreshToken.opened(forged, KEY)


@given(texts)
def test_any_text_is_refused(text: str) -> None:
    """What we did not make is refused, whatever it is."""
    with pytest.raises(BadRefreshToken):
        RefreshToken.opened(text, KEY)
    assert mailed(KEY, text) is None


@given(tokens)
def test_the_successor_is_always_the_same(token: RefreshToken) -> None:
    """A token has one successor, which another key or another generation does not have."""
    successor = token.successor(KEY)
    assert successor == token.successor(KEY)
    assert (successor.session_id, successor.generation) == (token.session_id, token.generation + 1)
    others = (token.successor(b"other"), RefreshToken(token.session_id, token.generation + 1, token.secret))
    secrets = {successor.secret, token.secret, *(other.successor(KEY).secret for other in others)}
    assert len(secrets) == 4


def test_first_tokens_differ() -> None:
    """A session's first token has 256 random bits, and its stored hash is not the secret."""
    session_id = SessionId(new_id("session"))
    first, other = RefreshToken.first(session_id), RefreshToken.first(session_id)
    assert first.secret != other.secret
    assert len(first.secret) == 32
    assert first.hash != first.secret


@given(st.builds(lambda: new_id("mail")))
def test_a_mailed_token_names_its_mail(mail_id: str) -> None:
    """The token of a mail leads back to it, under our key alone, and fits the contract's bounds."""
    token = mailed_token(KEY, mail_id)
    assert mailed(KEY, token) == mail_id
    assert mailed(b"other", token) is None
    assert 20 <= len(token) <= 200
