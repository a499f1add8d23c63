"""Pushes that only the browser can read (RFC 8291), signed by a key that its push service knows us by (RFC 8292)."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from services.notifications.push.domain import Keys

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (NIST SP 800-186): a private key is a number from 1 to less than this."""


def is_public_key(raw: bytes) -> bool:
    """Whether it is a point of P-256, uncompressed."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)
    except ValueError:
        return False
    return len(raw) == 65


def encrypted(payload: bytes, keys: Keys) -> bytes:
    """The body of a push, with a key and a salt of its own."""
    return bytes(
        http_ece.encrypt(
            payload,
            salt=os.urandom(16),
            private_key=ec.generate_private_key(_CURVE),
            dh=keys.p256dh,
            auth_secret=keys.auth,
            version="aes128gcm",
        )
    )


class Vapid:
    """Says to push services who sends. `secret`: from it comes the key, the same one in every process.

    `contact`: where the operators of a push service find ours.
    """

    def __init__(self, secret: str, contact: str) -> None:
        derived = HKDF(hashes.SHA256(), 48, None, b"tulle vapid").derive(secret.encode())
        # From 384 bits to 256 without a bias that anybody could measure (FIPS 186-5, A.2.1).
        private = ec.derive_private_key(int.from_bytes(derived, "big") % (_ORDER - 1) + 1, _CURVE)
        self._key, self._contact = ECKey.import_key(private), contact
        self.public_key = _text(private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        """What a browser subscribes with."""

    def headers(self, url: str, now: float, life: float) -> Mapping[str, str]:
        """The authorization of a push to `url`, good for `life` seconds."""
        parts = urlsplit(url)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(now + life), "sub": self._contact}
        token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key, algorithms=["ES256"])
        return {"authorization": f"vapid t={token}, k={self.public_key}"}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
