"""The contract as data: services, methods, policies and events, read from a descriptor set.

The one model from which everything that the contract decides is made: the pipeline's steps, the
gateway's routes, the sidecars' rules, OpenAPI, the policy matrix. Pure functions of the descriptor
set that `python -m codegen` writes to `codegen/gen/contract.binpb`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from services.topology import WORKLOADS, Workload

DESCRIPTOR_SET = Path(__file__).parent.parent / "codegen" / "gen" / "contract.binpb"

NONE, OPTIONAL, REQUIRED = "none", "optional", "required"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One binding of a method to REST (google.api.http). `body`: a field, `*` for all, or empty."""

    verb: str
    path: str
    body: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket of `requests`, filled once in `per` seconds."""

    requests: int
    per: float


@dataclass(frozen=True, slots=True)
class Method:
    """A method with its policy. `deadline` is in seconds."""

    service: str
    name: str
    input: str
    output: str
    server_streaming: bool
    end_user: str
    roles: frozenset[str]
    fresh: bool
    callers: frozenset[str]
    rate_limit: RateLimit | None
    deadline: float
    reasons: frozenset[str]
    emits: tuple[str, ...]
    retry_safe: bool
    """The caller's sidecar may repeat it: idempotency_level says so."""
    returns_secret: bool
    """A field of the answer is marked secret, so the answer is never stored."""
    request_id: bool
    """The request has a `request_id` (AIP-155)."""
    http: tuple[HttpRule, ...]
    headers: frozenset[str] = frozenset()
    """What it reads of a call's metadata."""
    scope: str = ""
    """What an API key needs to call it; empty: only people may."""

    @property
    def path(self) -> str:
        """`/package.Service/Method`, the key of all policy."""
        return f"/{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service; `domain` is the folder of services/ that implements it."""

    name: str
    domain: str
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event message. `retention` is in seconds; `subject` is the whole NATS subject; versions start at 1."""

    message: str
    domain: str
    subject: str
    retention: float
    consumers: frozenset[str]
    schema_version: int = 1


@dataclass(frozen=True)
class Contract:
    """Everything that the protos say, keyed by full names without a leading dot, and who serves and calls it."""

    services: Mapping[str, Service]
    events: Mapping[str, Event]
    pool: descriptor_pool.DescriptorPool
    workloads: tuple[Workload, ...] = WORKLOADS

    @property
    def methods(self) -> Iterator[Method]:
        """All methods of all services, in order of their names."""
        return (method for name in sorted(self.services) for method in self.services[name].methods)

    @functools.cached_property
    def scopes(self) -> frozenset[str]:
        """What an API key can be made for: each opens a method at least."""
        return frozenset(method.scope for method in self.methods if method.scope)

    def method(self, path: str) -> Method:
        """The method at `/package.Service/Method`. Raises KeyError."""
        return self._by_path[path]

    def workload(self, name: str) -> Workload:
        """The workload's row of the topology. Raises KeyError."""
        return self._by_name[name]

    def owner(self, service: str) -> Workload:
        """The one workload that serves a gRPC service, by its full name. Raises: KeyError if there are others."""
        owners = self.owners(service)
        if len(owners) != 1:
            raise KeyError(f"{service} is served by {len(owners)} workloads")
        return owners[0]

    def owners(self, service: str) -> tuple[Workload, ...]:
        """The workloads that serve a gRPC service: one, unless all of it is for the operator alone."""
        return tuple(workload for workload in self.workloads if service in workload.serves)

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Workload]:
        return {workload.name: workload for workload in self.workloads}

    @functools.cached_property
    def _by_path(self) -> Mapping[str, Method]:
        return {method.path: method for method in self.methods}


@functools.cache
def contract() -> Contract:
    """The contract of this build."""
    return load(DESCRIPTOR_SET.read_bytes())


def load(
    descriptor_set: bytes, workloads: tuple[Workload, ...] = WORKLOADS, packages: tuple[str, ...] = ("tulle.",)
) -> Contract:
    """Read a serialised FileDescriptorSet whose files are in order of their imports.

    `packages`: what the names of the packages begin with whose services and events count.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    found = [pool.FindFileByName(file.name) for file in files if file.package.startswith(packages)]
    services = [_service(service, pool) for file in found for service in file.services_by_name.values()]
    events = [
        event
        for file in found
        for message in file.message_types_by_name.values()
        if (event := _event(message, pool)) is not None
    ]
    return Contract({s.name: s for s in services}, {e.message: e for e in events}, pool, workloads)


def option(descriptor: Any, kind: str, name: str, pool: descriptor_pool.DescriptorPool) -> Any:
    """The value of extension `name` in a descriptor's options (`kind`, such as `MethodOptions`), or None.

    Read with the classes of the contract's own pool, so that no generated code need be imported.
    """
    options: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.protobuf.{kind}"))
    parsed = options.FromString(descriptor.GetOptions().SerializeToString())
    extension = pool.FindExtensionByName(name)
    return parsed.Extensions[extension] if parsed.HasExtension(extension) else None


def sensitive(field: FieldDescriptor, pool: descriptor_pool.DescriptorPool) -> bool:
    """Whether a field is marked personal or secret."""
    policy = option(field, "FieldOptions", "tulle.policy.v1.field", pool)
    return policy is not None and (policy.personal or policy.secret)


def _service(service: ServiceDescriptor, pool: descriptor_pool.DescriptorPool) -> Service:
    domain = service.full_name.split(".")[1]
    return Service(service.full_name, domain, tuple(_method(m, pool) for m in service.methods))


def _method(method: MethodDescriptor, pool: descriptor_pool.DescriptorPool) -> Method:
    policy = option(method, "MethodOptions", "tulle.policy.v1.method", pool)
    if policy is None:
        policy = message_factory.GetMessageClass(pool.FindMessageTypeByName("tulle.policy.v1.MethodPolicy"))()
    roles = policy.DESCRIPTOR.fields_by_name["roles"].enum_type.values_by_number
    level = method.GetOptions().idempotency_level
    return Method(
        service=method.containing_service.full_name,
        name=method.name,
        input=method.input_type.full_name,
        output=method.output_type.full_name,
        server_streaming=method.server_streaming,
        end_user=("", NONE, OPTIONAL, REQUIRED)[policy.end_user],
        roles=frozenset(roles[role].name.removeprefix("ROLE_").lower() for role in policy.roles),
        fresh=policy.fresh,
        callers=frozenset(policy.callers),
        rate_limit=_rate_limit(policy),
        deadline=_seconds(policy.deadline),
        reasons=frozenset(policy.reasons),
        emits=tuple(policy.emits),
        # What a stream has said cannot be taken back: its reader begins anew.
        retry_safe=level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN and not method.server_streaming,
        returns_secret=_has_secret(method.output_type, pool, frozenset()),
        request_id="request_id" in method.input_type.fields_by_name,
        http=_http(method, pool),
        # The contract of a release before there were headers and scopes is read too.
        headers=frozenset(getattr(policy, "headers", ())),
        scope=getattr(policy, "scope", ""),
    )


def _rate_limit(policy: Any) -> RateLimit | None:
    limit = policy.rate_limit
    return RateLimit(limit.requests, _seconds(limit.per)) if limit.requests else None


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _has_secret(message: Descriptor, pool: descriptor_pool.DescriptorPool, seen: frozenset[str]) -> bool:
    if message.full_name in seen:
        return False
    seen |= {message.full_name}
    return any(
        (policy is not None and policy.secret)
        or (field.message_type is not None and _has_secret(field.message_type, pool, seen))
        for field in message.fields
        for policy in [option(field, "FieldOptions", "tulle.policy.v1.field", pool)]
    )


def _http(method: MethodDescriptor, pool: descriptor_pool.DescriptorPool) -> tuple[HttpRule, ...]:
    rule = option(method, "MethodOptions", "google.api.http", pool)
    if rule is None:
        return ()
    return tuple(_binding(binding) for binding in (rule, *rule.additional_bindings))


def _binding(rule: Any) -> HttpRule:
    verb = rule.WhichOneof("pattern")
    if verb == "custom":
        return HttpRule(rule.custom.kind, rule.custom.path, rule.body)
    return HttpRule(verb.upper(), getattr(rule, verb), rule.body) if verb else HttpRule("", "", rule.body)


def _event(message: Descriptor, pool: descriptor_pool.DescriptorPool) -> Event | None:
    policy = option(message, "MessageOptions", "tulle.policy.v1.event", pool)
    if policy is None:
        return None
    domain = message.full_name.split(".")[1]
    return Event(
        message=message.full_name,
        domain=domain,
        subject=f"tulle.{domain}.{policy.subject}",
        retention=_seconds(policy.retention),
        consumers=frozenset(policy.consumers),
        # The contract of a release before there were versions is read too.
        schema_version=max(1, getattr(policy, "schema_version", 1)),
    )
