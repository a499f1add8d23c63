"""Encryption of what must be read again: AES-256-GCM under a key that is not in the database."""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


class AesBox:
    """A `services.auth.domain.ports.Box`. What is sealed for one purpose does not open for another."""

    def __init__(self, key: str) -> None:
        self._cipher = AESGCM(hashlib.sha256(key.encode()).digest())

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """Encrypt."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt. Raises: ValueError if it was changed or sealed for something else."""
        try:
            return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], purpose.encode())
        except InvalidTag as error:
            raise ValueError(f"what is sealed for {purpose} cannot be opened") from error
