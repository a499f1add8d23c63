"""A software authenticator: what a browser and a passkey make of WebAuthn's options, right or wrong in one way."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.hashes import SHA256

Key: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def es256() -> Key:
    return new_ec_key(SECP256R1())


def eddsa() -> Key:
    return Ed25519PrivateKey.generate()


def rs256(bits: int = 2048) -> Key:
    return new_rsa_key(65537, bits)


@dataclass
class Authenticator:
    """One passkey. `changes`: what of the client data is to be another thing; `flags`: what it says of its owner."""

    origin: str
    key: Key = field(default_factory=es256)
    flags: int = PRESENT | VERIFIED
    changes: dict[str, Any] = field(default_factory=dict)
    rp_id: str = ""
    counts: bool = True
    sign_count: int = 0
    user: str = ""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def create(self, text: str) -> str:
        """The answer of `navigator.credentials.create`, as JSON."""
        options = json.loads(text)
        self.rp_id, self.user = self.rp_id or options["rp"]["id"], options["user"]["id"]
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id
        data = self._data(self.flags | ATTESTED) + attested + cbor2.dumps(cose(self.key))
        attestation = {"fmt": "none", "attStmt": {}, "authData": data}
        client = self._client("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=cbor2.dumps(attestation))

    def get(self, text: str) -> str:
        """The answer of `navigator.credentials.get`, as JSON."""
        options = json.loads(text)
        self.rp_id, self.sign_count = self.rp_id or options["rpId"], self.sign_count + self.counts
        client, data = self._client("webauthn.get", options["challenge"]), self._data(self.flags)
        signature = sign(self.key, data + hashlib.sha256(client).digest())
        handle = urlsafe_b64decode(self.user + "==")
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=handle)

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.sign_count.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | self.changes).encode()

    def _answer(self, **response: bytes) -> str:
        named = {name: plain(value) for name, value in response.items()}
        credential = plain(self.credential_id)
        answer = {"id": credential, "rawId": credential, "type": "public-key", "response": named}
        return json.dumps(answer | {"clientExtensionResults": {}, "authenticatorAttachment": "platform"})


def plain(value: bytes) -> str:
    """base64url without padding, as in WebAuthn's JSON."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def cose(key: Key) -> dict[int, Any]:
    """A public key as authenticators write it (RFC 9052)."""
    if isinstance(key, EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
    if isinstance(key, Ed25519PrivateKey):
        return {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}
    numbers = key.public_key().public_numbers()
    return {1: 3, 3: -257, -1: numbers.n.to_bytes(key.key_size // 8, "big"), -2: numbers.e.to_bytes(3, "big")}


def sign(key: Key, message: bytes) -> bytes:
    """The signature of the key's algorithm."""
    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(message, ECDSA(SHA256()))
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, PKCS1v15(), SHA256())
