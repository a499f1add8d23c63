"""What a mail carries so that whoever holds it can end such mails without signing in (RFC 8058)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from mesh.model import Invalid, UserId, require
from services.notifications.domain.kinds import Category

MAC_BYTES = 16


class BadUnsubscribeToken(Invalid):
    """This link is not one of ours, or was cut off on its way; copy it whole from the mail."""


@dataclass(frozen=True)
class Links:
    """Makes and reads the tokens. They end one category's mails to one person, for ever, and can do nothing else.

    `url`: where people reach us.
    """

    key: bytes
    url: str

    def link(self, user_id: UserId, category: Category) -> str:
        """Where a POST ends them."""
        return f"{self.url}/v1/notifications:unsubscribe?token={self.token(user_id, category)}"

    def token(self, user_id: UserId, category: Category) -> str:
        """The token of one person's mails of one category: always the same."""
        what = f"{user_id}/{category}".encode()
        return base64.urlsafe_b64encode(self._mac(what) + what).decode().rstrip("=")

    def read(self, token: str) -> tuple[UserId, Category]:
        """Whose and which. Raises: BadUnsubscribeToken."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadUnsubscribeToken from None
        mac, what = raw[:MAC_BYTES], raw[MAC_BYTES:]
        require(hmac.compare_digest(mac, self._mac(what)), BadUnsubscribeToken)
        user_id, _, category = what.decode().partition("/")
        require(category in set(Category), BadUnsubscribeToken)
        return UserId(user_id), Category(category)

    def _mac(self, what: bytes) -> bytes:
        return hmac.digest(self.key, b"unsubscribe/" + what, hashlib.sha256)[:MAC_BYTES]
