"""Whose objects the requests of auth name."""

from __future__ import annotations

from services.objects import OK, Object

_AUTH = "/tulle.auth.v1.AuthService"
_PASSKEYS = "/tulle.auth.v1.PasskeysService"
_KEYS = "/tulle.auth.v1.ApiKeysService"

_ORGANISATIONS = "/tulle.auth.v1.OrganisationsService"


def _own(method: str, kind: str) -> Object:
    no = "ORGANISATION_NOT_FOUND"
    return Object(f"{_ORGANISATIONS}/{method}", "organisation_id", kind, others=no, administrators=no)


def _inside(method: str, field: str, kind: str) -> Object:
    """What is an organisation's: others act in their own, in which it is not."""
    no = f"{kind.upper()}_NOT_FOUND"
    return Object(f"{_ORGANISATIONS}/{method}", field, kind, others=no, administrators=no)


OBJECTS = (
    _own("SwitchOrganisation", "organisation"),
    _own("LeaveOrganisation", "joined_organisation"),
    _inside("ChangeMemberRole", "user_id", "member"),
    _inside("RemoveMember", "user_id", "member"),
    _inside("RevokeInvitation", "invitation_id", "invitation"),
    Object(f"{_AUTH}/RevokeSession", "session_id", "session", "SESSION_NOT_FOUND", "SESSION_NOT_FOUND"),
    Object(f"{_PASSKEYS}/RenamePasskey", "passkey_id", "passkey", "PASSKEY_NOT_FOUND", "PASSKEY_NOT_FOUND"),
    Object(f"{_PASSKEYS}/RemovePasskey", "passkey_id", "passkey", "PASSKEY_NOT_FOUND", "PASSKEY_NOT_FOUND"),
    Object(f"{_KEYS}/RotateApiKey", "api_key_id", "key", "API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND"),
    Object(f"{_KEYS}/RevokeApiKey", "api_key_id", "key", "API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND"),
    Object(f"{_AUTH}/GrantRole", "user_id", "user", "DENIED", OK),
    Object(f"{_AUTH}/RevokeRole", "user_id", "user", "DENIED", OK),
)
