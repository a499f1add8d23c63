"""Every process of the platform in one table, from which the local stack, the sidecars, the
Kubernetes output and the diagram in the docs are made."""

from __future__ import annotations

from dataclasses import dataclass

TRUST_DOMAIN = "tulle.local"
NAMESPACE = "tulle"
GATEWAY = "gateway"
"""The workload through which everybody outside comes in."""
OPERATOR = "operator"
"""The workload as which a person at ./tulle calls."""
PORT = 9080
"""The port of every service under its name (`host`)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A program that we do not write: a database, a broker."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A process with a mesh identity of its own.

    `serves`: full names of its gRPC services. `needs`: boxes that must be ready first. `calls`:
    workloads that it calls through its sidecar. `keys`: secrets of its own, made at the first
    start. `module`: what `python -m` runs; empty for the gateway, which is Envoy alone, and for
    people, who run nothing.
    """

    name: str
    what: str
    module: str = ""
    serves: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    replicas: int = 1


EVENTS = "tulle.event.v1.EventsService"
"""What the operator asks every workload with events; each answers for its own."""

BOXES = (
    Box("postgres", "PostgreSQL: each service its own role and schema"),
    Box("valkey", "Valkey: counters that several processes share"),
    Box("nats", "NATS JetStream: events"),
    Box("mail", "a mail server that catches everything; read it with ./tulle mail"),
    Box("payments", "a stand-in for Stripe that moves no money (localstripe)"),
)

SERVICES = (
    Workload(
        "auth",
        "accounts, credentials, sessions, tokens",
        module="services.auth.main",
        serves=(
            "tulle.auth.v1.AuthService",
            "tulle.auth.v1.KeysService",
            "tulle.auth.v1.AccountsService",
            "tulle.auth.v1.ContactsService",
            "tulle.auth.v1.PasskeysService",
            "tulle.auth.v1.ApiKeysService",
            "tulle.auth.v1.OrganisationsService",
            EVENTS,
        ),
        needs=("postgres", "valkey", "nats"),
        keys=("pepper", "token-key", "encryption-key", "page-key"),
    ),
    Workload(
        "users",
        "profiles and preferences",
        module="services.users.main",
        serves=("tulle.users.v1.UsersService", EVENTS),
        needs=("postgres", "nats"),
        calls=("auth",),
        keys=("page-key",),
    ),
    Workload(
        "billing",
        "plans, subscriptions, invoices, the ledger",
        module="services.billing.main",
        serves=(
            "tulle.billing.v1.BillingService",
            "tulle.billing.v1.InvoicesService",
            "tulle.billing.v1.AccountingService",
            "tulle.billing.v1.WebhooksService",
            EVENTS,
        ),
        needs=("postgres", "nats", "payments"),
        calls=("auth",),
        keys=("page-key",),
    ),
    Workload(
        "notifications",
        "what people are told, and how: mails, an inbox, and why",
        module="services.notifications.main",
        serves=(
            "tulle.notifications.v1.NotificationsService",
            "tulle.notifications.v1.DeliveriesService",
            "tulle.notifications.v1.PreferencesService",
            "tulle.notifications.v1.InboxService",
            "tulle.notifications.v1.PushService",
            EVENTS,
        ),
        needs=("postgres", "nats", "mail"),
        calls=("auth", "users"),
        keys=("address-key", "page-key", "push-key", "unsubscribe-key"),
    ),
)

WORKLOADS = (
    *SERVICES,
    Workload(GATEWAY, "the edge: REST and gRPC for everybody outside", calls=tuple(row.name for row in SERVICES)),
    Workload(OPERATOR, "the person at ./tulle, through RPCs only", calls=tuple(row.name for row in SERVICES)),
)

WORKLOAD = {workload.name: workload for workload in WORKLOADS}


def spiffe_id(workload: str) -> str:
    """The workload's identity in the mesh (SPIFFE)."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/sa/{workload}"


def host(workload: str) -> str:
    """The name by which other workloads call it, on one machine as in a cluster."""
    return f"{workload}.{NAMESPACE}.svc.cluster.local"


def authority(workload: str) -> str:
    """Whom a gRPC call to it names."""
    return f"{host(workload)}:{PORT}"


def owners(service: str) -> tuple[Workload, ...]:
    """The workloads that serve a gRPC service, by its full name."""
    return tuple(workload for workload in WORKLOADS if service in workload.serves)
