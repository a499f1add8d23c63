"""Refresh tokens: each use makes a successor that only the server could have made (RFC 9700, 4.14).

A token is `<session>.<generation>.<secret>.<seal>`. The successor's secret is an HMAC of its parent's, so a
client that lost the answer may ask again and gets the same one. The seal tells a real old token,
whose reuse ends the session, from one that somebody made up.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Self

from mesh.model import SessionId, require
from services.auth.domain.errors import BadRefreshToken


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One generation of a session's refresh token."""

    session_id: SessionId
    generation: int
    secret: bytes

    @classmethod
    def first(cls, session_id: SessionId) -> Self:
        """The token of a new session: 256 random bits."""
        return cls(session_id, 0, secrets.token_bytes(32))

    @classmethod
    def opened(cls, text: str, key: bytes) -> Self:
        """The token that `sealed` made. Raises: BadRefreshToken."""
        body, _, seal = text.rpartition(".")
        require(hmac.compare_digest(seal.encode(), _mac(key, b"seal", body.encode())), BadRefreshToken)
        session_id, generation, secret = body.split(".")
        return cls(SessionId(session_id), int(generation), base64.urlsafe_b64decode(secret))

    def sealed(self, key: bytes) -> str:
        """The token as the client gets it."""
        body = f"{self.session_id}.{self.generation}.{base64.urlsafe_b64encode(self.secret).decode()}"
        return f"{body}.{_mac(key, b'seal', body.encode()).decode()}"

    def successor(self, key: bytes) -> RefreshToken:
        """The next generation, the same whenever it is asked for."""
        generation = self.generation + 1
        secret = hmac.digest(key, b"next" + self.secret + generation.to_bytes(8, "big"), "sha256")
        return RefreshToken(self.session_id, generation, secret)

    @property
    def hash(self) -> bytes:
        """What is stored of it."""
        return hashlib.sha256(self.secret).digest()


def _mac(key: bytes, purpose: bytes, message: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, purpose + message, "sha256")).rstrip(b"=")


def mailed_token(key: bytes, mail_id: str) -> str:
    """The token that a mail carries: made from its id, so that it is stored nowhere."""
    return f"{mail_id}.{_mac(key, b'mail', mail_id.encode()).decode()}"


def mailed(key: bytes, token: str) -> str | None:
    """The id of the mail that carried `token`; None if we did not make it."""
    mail_id = token.partition(".")[0]
    return mail_id if hmac.compare_digest(mailed_token(key, mail_id).encode(), token.encode()) else None
