"""Good requests of each route, made from the examples in the contract's comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen import examples
from codegen.project import Project
from gateway.fields import SCALARS, is_raw, json_name
from gateway.templates import variables
from mesh.contract import HttpRule, Method

Json = dict[str, Any]


@dataclass(frozen=True)
class Route:
    """One path of one method."""

    method: Method
    rule: HttpRule

    def __str__(self) -> str:
        return f"{self.rule.verb} {self.rule.path}"


class Requests:
    """Good requests of a route, from the examples in the contract's comments."""

    def __init__(self, project: Project, route: Route) -> None:
        self.route, self._project = route, project
        self.message: Descriptor = project.contract.pool.FindMessageTypeByName(route.method.input)
        self.whole: Json = examples.of_message(project, self.message, request=True)

    @property
    def bound(self) -> frozenset[str]:
        return frozenset(variables(self.route.rule.path))

    @property
    def path(self) -> dict[str, str]:
        """The path's variables."""
        return {name: self.whole[self.json_name(name)] for name in self.bound}

    @property
    def body(self) -> Json | None:
        """The body; None for a route without one."""
        rule = self.route.rule
        if rule.body in ("", "*"):
            free = {json_name(f): self.whole[json_name(f)] for f in self.body_fields if json_name(f) in self.whole}
            return free if rule.body else None
        found: Json = self.whole[self.json_name(rule.body)]
        return found

    @property
    def raw(self) -> bool:
        """Whether the body goes to the method byte for byte."""
        return is_raw(self.message, self.route.rule)

    @property
    def body_fields(self) -> list[FieldDescriptor]:
        """The fields of the body itself, none if nobody on the way knows them."""
        if self.raw:
            return []
        if self.route.rule.body == "*":
            return [f for f in self.message.fields if f.name not in self.bound]
        return list(self._resource.fields) if self.route.rule.body else []

    @property
    def _resource(self) -> Descriptor:
        resource: Descriptor = self.message.fields_by_name[self.route.rule.body].message_type
        return resource

    @property
    def prefix(self) -> str:
        """What a service puts before the name of a field of the body."""
        return "" if self.route.rule.body == "*" else f"{self.route.rule.body}."

    @property
    def query_fields(self) -> list[FieldDescriptor]:
        """The leaves of the request itself that belong into the query."""
        if self.route.rule.body == "*":
            return []
        taken = {*self.bound, self.route.rule.body, *self._elsewhere()}
        return [f for f in self.message.fields if f.name not in taken and is_leaf(f)]

    @property
    def query(self) -> dict[str, str]:
        """The parameters that must be there."""
        return {json_name(f): str(self.whole[json_name(f)]) for f in self.query_fields if is_required(f)}

    def _elsewhere(self) -> Iterator[str]:
        """What another path of the method binds is no query parameter of this one."""
        for rule in self.route.method.http:
            yield from variables(rule.path)

    def json_name(self, name: str) -> str:
        """The JSON name of a field of the request itself."""
        return json_name(self.message.fields_by_name[name])

    def with_body(self, **changes: Any) -> bytes:
        """The body with some fields changed."""
        return json.dumps({**self._without(changes), **changes}).encode()

    def _without(self, changes: Mapping[str, Any]) -> Json:
        """The body without the members of the same oneof as what changes."""
        oneofs = {f.containing_oneof.name for f in self.body_fields if json_name(f) in changes and f.containing_oneof}
        body = self.body or {}
        rivals = {json_name(f) for f in self.body_fields if f.containing_oneof and f.containing_oneof.name in oneofs}
        return {name: value for name, value in body.items() if name not in rivals}


def is_leaf(one: FieldDescriptor) -> bool:
    """Whether a field is one value in JSON."""
    return one.message_type is None or one.message_type.full_name in SCALARS


def is_required(one: FieldDescriptor) -> bool:
    """Whether a field must be in each request (AIP-203)."""
    return field_behavior_pb2.REQUIRED in one.GetOptions().Extensions[field_behavior_pb2.field_behavior]
