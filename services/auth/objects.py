"""Whose objects the requests of auth name."""

from __future__ import annotations

from services.objects import OK, Object

_AUTH = "/tulle.auth.v1.AuthService"
_PASSKEYS = "/tulle.auth.v1.PasskeysService"

OBJECTS = (
    Object(f"{_AUTH}/RevokeSession", "session_id", "session", "SESSION_NOT_FOUND", "SESSION_NOT_FOUND"),
    Object(f"{_PASSKEYS}/RenamePasskey", "passkey_id", "passkey", "PASSKEY_NOT_FOUND", "PASSKEY_NOT_FOUND"),
    Object(f"{_PASSKEYS}/RemovePasskey", "passkey_id", "passkey", "PASSKEY_NOT_FOUND", "PASSKEY_NOT_FOUND"),
    Object(f"{_AUTH}/GrantRole", "user_id", "user", "DENIED", OK),
    Object(f"{_AUTH}/RevokeRole", "user_id", "user", "DENIED", OK),
)
