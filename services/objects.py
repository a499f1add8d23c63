"""Whose object a request names, and what comes of it for others: one row for each such field of a method.

The contract says who may call a method; whose things it may be called about only the service's own
rules know. Each service states them in its objects.py, where a reader and a test can see them:
`docs/policy.md` prints all rows, and tests/e2e/test_objects.py tries each at each door. Every person
has an organisation of their own, so that another person is also somebody of another organisation.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec

from services.topology import SERVICES

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


def nobodys() -> frozenset[str]:
    """Fields that end like an id and name what belongs to nobody, such as a price list's entries."""
    names = (f"services.{service.name}.objects" for service in SERVICES)
    modules = (importlib.import_module(name) for name in names if find_spec(name))
    return frozenset(name for module in modules for name in getattr(module, "NOBODYS", ()))


def objects() -> tuple[Object, ...]:
    """The rows of all services."""
    modules = (f"services.{service.name}.objects" for service in SERVICES)
    return tuple(row for name in modules if find_spec(name) for row in importlib.import_module(name).OBJECTS)
