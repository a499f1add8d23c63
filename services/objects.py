"""Whose object a request names, and what comes of it for others: one row for each such field of a method.

The contract says who may call a method; whose things it may be called about only the service's own
rules know. This table states them where a reader and a test can see them: `docs/policy.md` prints it,
and tests/e2e/test_objects.py tries each row at each door. Every person has an organisation of their
own, so that another person is also somebody of another organisation.
"""

from __future__ import annotations

from dataclasses import dataclass

OK = "OK"


@dataclass(frozen=True, slots=True)
class Object:
    """`field` of the request of `method` (its path) is the id of a `kind` that belongs to a person.

    `others`, `administrators`: OK, or the reason with which those are refused to whom it does not belong.
    `shown`: the fields of the answer that they get, if not all.
    """

    method: str
    field: str
    kind: str
    others: str
    administrators: str
    shown: frozenset[str] = frozenset()


_AUTH, _USERS = "/tulle.auth.v1.AuthService", "/tulle.users.v1.UsersService"
_PUBLIC = frozenset({"user_id", "handle", "display_name", "avatar_url"})

OBJECTS = (
    Object(f"{_AUTH}/RevokeSession", "session_id", "session", "SESSION_NOT_FOUND", "SESSION_NOT_FOUND"),
    Object(f"{_AUTH}/GrantRole", "user_id", "user", "DENIED", OK),
    Object(f"{_AUTH}/RevokeRole", "user_id", "user", "DENIED", OK),
    Object(f"{_USERS}/GetProfile", "user_id", "user", OK, OK, _PUBLIC),
)
