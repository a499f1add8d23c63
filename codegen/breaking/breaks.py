"""A break: what changed, whom it hurts, and what to do instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from google.protobuf.descriptor import Descriptor

from codegen.project import Project
from mesh.contract import Contract, Method
from services.topology import GATEWAY


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """`aspect` and `subject` (a full name) identify it: an exception names both."""

    subject: str
    aspect: str
    what: str
    whom: str
    instead: str
    where: str = ""

    @property
    def name(self) -> str:
        """By which an exception allows it."""
        return f"{self.aspect} {self.subject}"

    def told(self) -> dict[str, str]:
        """For programs."""
        return {"name": self.name, **asdict(self)}

    def __str__(self) -> str:
        """For people: what, whom, instead."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.name}: {self.what}\n    hurts: {self.whom}\n    instead: {self.instead}"


@dataclass(frozen=True)
class Change:
    """Two states of the contract. `now` knows its source, so that a break can name a line."""

    old: Contract
    now: Project

    @property
    def new(self) -> Contract:
        """The contract of now."""
        return self.now.contract

    def both(self) -> list[tuple[Method, Method]]:
        """The methods that are in both, old and new. (Those that are gone are buf's to find.)"""
        known = {method.path: method for method in self.new.methods}
        return [(method, known[method.path]) for method in self.old.methods if method.path in known]

    def message(self, name: str) -> Descriptor | None:
        """The message of now by that name, if it is still there."""
        try:
            found: Descriptor = self.new.pool.FindMessageTypeByName(name)
        except KeyError:
            return None
        return found

    def where(self, name: str) -> str:
        """`file:line` of an element, or of what contains it; nothing if that is gone too."""
        while name.startswith("tulle."):
            with contextlib.suppress(KeyError):
                return self.now.source.where(name)
            name = name.rpartition(".")[0]
        return ""


def full_name(method: Method) -> str:
    """`package.Service/Method` without the slash before it."""
    return method.path[1:]


def callers(names: Iterable[str]) -> str:
    """Who calls, in words."""
    return ", ".join(_caller(name) for name in sorted(names))


def _caller(name: str) -> str:
    return "everybody outside, over REST and gRPC" if name == GATEWAY else f"the workload `{name}`"
