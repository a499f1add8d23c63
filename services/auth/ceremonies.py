"""The ceremonies of WebAuthn, by the library `webauthn`, with what it leaves to a relying party."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_authentication_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from infra.limits import limit
from services.auth.domain.entities import Account
from services.auth.domain.passkeys import ANSWER_WITHIN, Made, Passkey

ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
LONGEST_CREDENTIAL = 1023
"""Bytes of a credential id: WebAuthn's own bound."""
RSA_LEAST = limit("PASSKEY_RSA_LEAST", 2048, "bits", "Shorter RSA keys are not worth keeping.")
RSA_MOST = limit("PASSKEY_RSA_MOST", 4096, "bits", "Longer ones would make each log-in a burden.")
_PROMPT = int(ANSWER_WITHIN.total_seconds() * 1000)
_T = TypeVar("_T")


class WebAuthn:
    """A `services.auth.domain.passkeys.Ceremonies` for pages of `origins`, which are all in `domain`, the RP id.

    Raises: ValueError if one is not, since no browser would use a passkey there.
    """

    def __init__(self, origins: Sequence[str], domain: str = "") -> None:
        parts = [urlsplit(origin) for origin in origins]
        hosts = [one.hostname or "" for one in parts]
        self.origins, self.rp_id = [f"{one.scheme}://{one.netloc}" for one in parts], domain or hosts[0]
        if outside := [host for host in hosts if host != self.rp_id and not host.endswith(f".{self.rp_id}")]:
            raise ValueError(f"TULLE_PASSKEY_DOMAIN must have all of TULLE_PASSKEY_ORIGINS in it, not so {outside[0]}")

    def creation(self, account: Account, challenge: bytes, known: Sequence[bytes]) -> str:
        """The options with which a device makes a key."""
        options = generate_registration_options(
            rp_id=self.rp_id,
            rp_name="Tulle",
            user_id=account.user_id.encode(),
            user_name=account.email,
            challenge=challenge,
            timeout=_PROMPT,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json(options)

    def request(self, challenge: bytes) -> str:
        """The options with which a device answers."""
        verified = UserVerificationRequirement.REQUIRED
        options = generate_authentication_options(
            rp_id=self.rp_id, challenge=challenge, timeout=_PROMPT, user_verification=verified
        )
        return options_to_json(options)

    def challenge(self, answer: str) -> bytes:
        """The challenge that an answer claims to answer. Raises: ValueError."""
        return _judged(lambda: base64url_to_bytes(_client_data(answer)["challenge"]))

    def made(self, answer: str, challenge: bytes) -> Made:
        """The key in the answer to `creation`. Raises: ValueError."""
        return _judged(lambda: self._made(answer, challenge))

    def credential(self, answer: str) -> bytes:
        """The credential that an answer to `request` claims to come from. Raises: ValueError."""
        return _judged(lambda: parse_authentication_credential_json(answer).raw_id)

    def used(self, answer: str, challenge: bytes, passkey: Passkey) -> tuple[int, bool]:
        """The new sign count and whether it is backed up. Raises: ValueError."""
        return _judged(lambda: self._used(answer, challenge, passkey))

    def _made(self, answer: str, challenge: bytes) -> Made:
        _not_framed(answer)
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=self.rp_id,
            expected_origin=self.origins,
            require_user_verification=True,
            supported_pub_key_algs=ALGORITHMS,
        )
        _check_key(made.credential_public_key)
        if len(made.credential_id) > LONGEST_CREDENTIAL:
            raise ValueError(f"a credential id has at most {LONGEST_CREDENTIAL} bytes")
        return Made(made.credential_id, made.credential_public_key, made.sign_count, made.credential_backed_up)

    def _used(self, answer: str, challenge: bytes, passkey: Passkey) -> tuple[int, bool]:
        _not_framed(answer)
        if parse_authentication_credential_json(answer).response.user_handle != passkey.user_id.encode():
            raise ValueError("the device does not say whose passkey it is, or somebody else's")
        used = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=self.rp_id,
            expected_origin=self.origins,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
        return used.new_sign_count, used.credential_backed_up


def _judged(judge: Callable[[], _T]) -> _T:
    """What `judge` says of an answer. Whatever breaks while a stranger's bytes are read is a wrong answer."""
    try:
        return judge()
    except Exception as error:
        raise ValueError(f"the answer of the authenticator is not right: {type(error).__name__}") from error


def _client_data(answer: str) -> dict[str, Any]:
    found = json.loads(base64url_to_bytes(json.loads(answer)["response"]["clientDataJSON"]))
    if not isinstance(found, dict):
        raise TypeError("client data is an object")
    return found


def _not_framed(answer: str) -> None:
    """A page of ours within somebody else's could be made to ask for a passkey."""
    if _client_data(answer).get("crossOrigin", False) is not False:
        raise ValueError("asked for within a page of another origin")


def _check_key(public_key: bytes) -> None:
    """Whether it is a key at all (a point of its curve), before it is needed."""
    key = decoded_public_key_to_cryptography(decode_credential_public_key(public_key))
    if isinstance(key, RSAPublicKey) and not RSA_LEAST <= key.key_size <= RSA_MOST:
        raise ValueError(f"an RSA key of {key.key_size} bits")
