"""The policy matrix: what the contract says must come of each call. Pure functions of the contract."""

from __future__ import annotations

import enum
import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import protovalidate
from google.protobuf import message_factory

from mesh.contract import NONE, OPTIONAL, Method, contract
from services import topology

GATEWAY = "gateway"


class Door(enum.StrEnum):
    """Where a call comes in."""

    REST = "REST"
    GRPC = "gRPC at the edge"
    MESH = "gRPC to the sidecar"


class Holder(enum.StrEnum):
    """Who the end user of a call is, by their token."""

    NOBODY = "nobody"
    USER = "user"
    OTHER = "other user"
    MEMBER = "member of another's organisation"
    ADMINISTRATOR = "administrator"
    API_KEY = "API key with every scope"
    NARROW_KEY = "API key with one scope"
    EXPIRED = "expired token"
    ALG_NONE = "token with alg none"
    PUBLIC_KEY_AS_SECRET = "token signed with HS256 and the public key"
    OTHER_ALGORITHM = "token signed with RS256 under a known kid"
    WRONG_AUDIENCE = "token for another audience"
    UNKNOWN_KID = "token of an unknown kid"
    UNKNOWN_KEY = "token signed with another key under a known kid"
    OTHERS_SIGNATURE = "token with the payload of another"

    @property
    def genuine(self) -> bool:
        return self in ROLES


KEYS = {Holder.API_KEY: contract().scopes, Holder.NARROW_KEY: frozenset({"users.read"})}
"""What the keys may do. An administrator has made them in their personal organisation, and no key is one."""
ROLES = {
    Holder.USER: frozenset({"owner"}),
    Holder.OTHER: frozenset({"owner"}),
    Holder.MEMBER: frozenset({"member"}),
    Holder.ADMINISTRATOR: frozenset({"administrator", "owner"}),
    **dict.fromkeys(KEYS, frozenset({"owner"})),
}
"""What genuine tokens say. Everybody owns their personal organisation, and only the member's is for another one."""


@dataclass(frozen=True)
class Cell:
    """One call. `workload` is whose certificate it shows at the sidecar of `owner`; the edge shows the gateway's."""

    method: Method
    door: Door
    holder: Holder
    owner: str
    workload: str = GATEWAY

    @property
    def expected(self) -> str:
        """The gRPC status that the contract demands."""
        if self.door is Door.MESH and self.workload not in neighbours(self.owner):
            return "UNAVAILABLE"  # the handshake fails: no method of this service is for this workload
        if self.workload not in self.method.callers:
            return "PERMISSION_DENIED"
        return self._by_token() or outcome(self.method, self.door)

    def _by_token(self) -> str:
        if self.method.end_user == NONE:
            return ""
        if self.holder is Holder.NOBODY:
            return "" if self.method.end_user == OPTIONAL else "UNAUTHENTICATED"
        if not self.holder.genuine:
            return "UNAUTHENTICATED"
        wanted, scopes = self.method.roles, KEYS.get(self.holder)
        beyond = scopes is not None and self.method.scope not in scopes
        return "PERMISSION_DENIED" if beyond or (wanted and not wanted & ROLES[self.holder]) else ""


@functools.cache
def outcome(method: Method, door: Door) -> str:
    """What an empty request comes to once it is allowed: it is refused as invalid, or does nothing much."""
    pool = contract().pool
    request = message_factory.GetMessageClass(pool.FindMessageTypeByName(method.input))()
    if door is Door.REST and (body := method.http[0].body.strip("*")):
        getattr(request, body).SetInParent()  # `{}` is a message that is there
    try:
        protovalidate.validate(request)
    except protovalidate.ValidationError:
        return "INVALID_ARGUMENT"
    # A header that a method reads is a signature, which nobody here can make.
    return "UNAUTHENTICATED" if method.headers else "OK"


@functools.cache
def neighbours(owner: str) -> frozenset[str]:
    """The workloads that may open a connection to the sidecar of `owner`."""
    served = topology.WORKLOAD[owner].serves
    callers = {caller for name in served for method in contract().services[name].methods for caller in method.callers}
    return frozenset(callers | {"operator"})


def edge_cells(door: Door) -> Iterator[Cell]:
    """Each method × each holder, at the gateway. Over REST only what has a path there."""
    for method in contract().methods:
        for holder in Holder:
            if door is Door.GRPC or method.http:
                yield Cell(method, door, holder, _owners(method)[0])


def mesh_cells() -> Iterator[Cell]:
    """Each method × each holder × each workload's certificate, at the sidecar of each workload that serves it."""
    for method in contract().methods:
        for owner, workload, holder in itertools.product(_owners(method), topology.WORKLOADS, Holder):
            yield Cell(method, Door.MESH, holder, owner, workload.name)


def _owners(method: Method) -> list[str]:
    return [workload.name for workload in topology.owners(method.service)]


HTTP = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
}
"""google.rpc.Code's mapping to HTTP."""


class Count:
    """How many cells were tried, by door and status; printed at the end."""

    def __init__(self) -> None:
        self.by: Counter[tuple[Door, str]] = Counter()

    def add(self, cell: Cell, verdict: str) -> None:
        self.by[cell.door, verdict] += 1

    def __str__(self) -> str:
        lines = [f"  {count:5}  {door.value}: {status}" for (door, status), count in sorted(self.by.items())]
        return "\n".join([f"policy matrix: {self.by.total()} cells", *lines])
