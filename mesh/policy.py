"""Who may call a method, by its contract: which workload, for an end user with which role, by a key of which scope."""

from __future__ import annotations

from collections.abc import Awaitable

from mesh.call import Call, Proceed
from mesh.contract import NONE, Method
from mesh.model import Denied, Unauthenticated, User


def caller(method: Method, proceed: Proceed) -> Proceed:
    """Only workloads that the contract names. Raises: Denied."""

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if call.peer.workload not in method.callers:
            raise Denied("This workload may not call this method.")
        return proceed(request, call)

    return step


def end_user(method: Method, proceed: Proceed) -> Proceed:
    """Only end users with the rights that the contract asks for. Raises: Denied; Unauthenticated."""
    if method.end_user == NONE and not method.roles:
        return proceed

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if call.user is not None:
            require_rights(method, call.user)
        elif method.roles:
            raise Unauthenticated
        return proceed(request, call)

    return step


def require_rights(method: Method, user: User) -> None:
    """Raises: Denied unless `user` holds one of the method's roles, if it has any, and a key of theirs its scope."""
    if method.roles and not method.roles & user.roles:
        raise Denied("This needs a role that you do not hold.")
    if user.scopes is None:
        return
    if not method.scope:
        raise Denied("This is for people only: no API key may call it.")
    if method.scope not in user.scopes:
        raise Denied(f"This needs an API key with the scope {method.scope}.")
