"""Who may call a method, by its contract: which workload, and for an end user with which role."""

from __future__ import annotations

from collections.abc import Awaitable

from mesh.call import Call, Proceed
from mesh.contract import Method
from mesh.model import Denied, Unauthenticated, User


def caller(method: Method, proceed: Proceed) -> Proceed:
    """Only workloads that the contract names. Raises: Denied."""

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if call.peer.workload not in method.callers:
            raise Denied("This workload may not call this method.")
        return proceed(request, call)

    return step


def role(method: Method, proceed: Proceed) -> Proceed:
    """Only end users with one of the roles that the contract names. Raises: Denied; Unauthenticated."""
    if not method.roles:
        return proceed

    def step(request: bytes, call: Call) -> Awaitable[bytes]:
        if call.user is None:
            raise Unauthenticated
        require_role(method, call.user)
        return proceed(request, call)

    return step


def require_role(method: Method, user: User) -> None:
    """Raises: Denied unless `user` holds one of the method's roles, if it has any."""
    if method.roles and not method.roles & user.roles:
        raise Denied("This needs a role that you do not hold.")
