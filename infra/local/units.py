"""Every process of the local stack, made from the topology."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.config import EDGE
from infra import ca, envoys, migrations
from infra.events import streams
from infra.istio import control
from infra.local import account, boxes, istio, limiter
from infra.local.layout import Layout, private_folder, write_private
from infra.local.unit import Unit, envoy_ready, sidecar_name
from infra.settings import Role
from mesh import health
from mesh.contract import contract
from services import topology
from services.topology import GATEWAY, Workload


def units(layout: Layout) -> tuple[Unit, ...]:
    """All processes, in the order in which they are shown."""
    served = [workload for workload in topology.WORKLOADS if workload.serves]
    with_istio = layout.settings.mesh == "istio"
    made = [*_boxes(layout), *(istio.control_plane(layout) if with_istio else ())]
    sidecar = istio.sidecar if with_istio else _sidecar
    for workload in served:
        made += [_service(layout, workload), sidecar(layout, workload)]
        if "nats" in workload.needs and layout.settings.workers == "own":
            made.append(_worker(layout, workload))
    edge = _gateway(layout, served)
    return (*made, istio.configured(layout, edge) if with_istio else edge)


def _boxes(layout: Layout) -> tuple[Unit, ...]:
    shared = (_limiter(layout),) if layout.settings.limits == "shared" else ()
    return (_postgres(layout), _valkey(layout), _nats(layout), _mail(layout), _payments(layout), *shared)


def _what(name: str) -> str:
    return next(box.what for box in topology.BOXES if box.name == name)


def _needing(box: str) -> list[str]:
    return [workload.name for workload in topology.WORKLOADS if box in workload.needs]


def _postgres(layout: Layout) -> Unit:
    data, sockets = layout.data / "postgres", layout.postgres_socket
    password = layout.secret("stack", "postgres")

    def check() -> None:
        private_folder(sockets, [os.getuid(), account.UID])
        account.prefix(account.UID, data, sockets)
        if data.exists():
            boxes.check_postgres(data)

    async def prepare() -> None:
        if not data.exists():
            await asyncio.to_thread(boxes.create_postgres, data, password)
        account.give(sockets, account.UID)

    provisioned = False

    async def ready() -> None:
        nonlocal provisioned
        await boxes.postgres_ready(sockets, password)
        if not provisioned:
            roles = {name: layout.secret(name, "postgres") for name in _needing("postgres")}
            await boxes.provision_postgres(sockets, password, roles)
            provisioned = True

    return Unit(
        "postgres",
        _what("postgres"),
        lambda: boxes.postgres_command(data, sockets),
        ready,
        str(sockets),
        check=check,
        prepare=prepare,
        # Fast shutdown: TERM would wait for every connection to leave by itself.
        stop_signal="SIGINT",
    )


def _valkey(layout: Layout) -> Unit:
    socket = layout.run / "valkey.sock"
    users = ("stack", limiter.NAME, *_needing("valkey"))
    passwords = {name: layout.secret(name, "valkey") for name in users}
    return Unit(
        "valkey",
        _what("valkey"),
        lambda: boxes.valkey_command(boxes.configure_valkey(layout.folder("valkey"), socket, passwords)),
        lambda: boxes.valkey_ready(socket, passwords["stack"]),
        str(socket),
    )


def _nats(layout: Layout) -> Unit:
    port = layout.ports["nats"]
    passwords = {name: layout.secret(name, "nats") for name in (streams.ADMINISTRATOR, *_needing("nats"))}
    return Unit(
        "nats",
        _what("nats"),
        lambda: boxes.nats_command(boxes.configure_nats(layout.folder("nats"), port, contract(), passwords)),
        lambda: boxes.nats_ready(port, passwords[streams.ADMINISTRATOR], contract()),
        f"127.0.0.1:{port}",
    )


def _mail(layout: Layout) -> Unit:
    port = layout.ports["mail"]
    return Unit(
        "mail",
        _what("mail"),
        lambda: boxes.mail_command(layout.folder("mail"), port),
        lambda: boxes.mail_ready(port),
        f"127.0.0.1:{port}",
    )


def _payments(layout: Layout) -> Unit:
    port, folder = layout.ports["payments"], layout.folder("payments")
    key = layout.secret("billing", "stripe-key", "sk_test_")
    layout.secret("billing", "stripe-webhook", "whsec_")
    url = f"{layout.public_url}/v1/billing/webhooks:stripe"
    return Unit(
        "payments",
        _what("payments"),
        lambda: boxes.payments_command(folder, port, layout.folder("secrets", "billing"), url),
        lambda: boxes.payments_ready(port, key),
        f"http://127.0.0.1:{port}",
    )


def _limiter(layout: Layout) -> Unit:
    folder, socket = layout.folder("limiter"), layout.run / "limiter.sock"
    valkey, password = layout.run / "valkey.sock", layout.secret(limiter.NAME, "valkey")

    async def prepare() -> None:
        limiter.configure(folder, contract())
        socket.unlink(missing_ok=True)

    return Unit(
        limiter.NAME,
        "limits that gateways share",
        limiter.command,
        lambda: health.check(socket),
        str(socket),
        after=("valkey",),
        check=limiter.check,
        prepare=prepare,
        environment=limiter.environment(folder, socket, valkey, password),
    )


def _service(layout: Layout, workload: Workload) -> Unit:
    name = workload.name
    socket = layout.run / f"{name}.sock"
    role: Role = "serve" if layout.settings.workers == "own" else "all"

    async def prepare() -> None:
        if "postgres" in workload.needs:
            login = layout.secret(name, "postgres")
            dsn = migrations.dsn(name, login, str(layout.postgres_socket), 5432, "tulle")
            await asyncio.to_thread(migrations.migrate, dsn, name)
        for key in workload.keys:
            layout.secret(name, key)
        socket.unlink(missing_ok=True)

    return Unit(
        name,
        workload.what,
        lambda: [sys.executable, "-m", workload.module],
        lambda: health.check(socket),
        str(socket),
        # Its sidecar first: that is where the secret is made which both must know.
        after=(*workload.needs, sidecar_name(name)),
        prepare=prepare,
        environment=_environment(layout, workload, role),
    )


def _worker(layout: Layout, workload: Workload) -> Unit:
    """A process that works on the workload's events, under its identity and behind its sidecar."""
    socket = layout.run / f"{workload.name}-worker.sock"

    async def prepare() -> None:
        socket.unlink(missing_ok=True)

    return Unit(
        f"{workload.name}-worker",
        f"events of {workload.name}",
        lambda: [sys.executable, "-m", workload.module],
        lambda: health.check(socket),
        str(socket),
        # The service first: it brings their schema up to date.
        after=(workload.name,),
        prepare=prepare,
        environment=_environment(layout, workload, "work"),
    )


def _environment(layout: Layout, workload: Workload, role: Role) -> Mapping[str, str]:
    return {
        "TULLE_ROLE": role,
        "TULLE_WORKLOAD": workload.name,
        "TULLE_RUN_DIR": str(layout.run),
        "TULLE_STATE_DIR": str(layout.folder("state", workload.name)),
        "TULLE_SECRETS_DIR": str(layout.folder("secrets", workload.name)),
        "TULLE_POSTGRES_HOST": str(layout.postgres_socket),
        "TULLE_NATS_URL": f"nats://127.0.0.1:{layout.ports['nats']}",
        "TULLE_VALKEY_URL": f"unix://{layout.run / 'valkey.sock'}?db=0",
        "TULLE_SMTP_SERVERS": f"127.0.0.1:{layout.ports['mail']}",
        "TULLE_PUSH_LOOPBACK": "true",
        "TULLE_STRIPE_URL": f"http://127.0.0.1:{layout.ports['payments']}",
        "TULLE_PUBLIC_URL": layout.public_url,
        "TULLE_PASSKEY_ORIGINS": ",".join(layout.settings.passkey_origins),
        "TULLE_PASSKEY_DOMAIN": layout.settings.passkey_domain,
        "TULLE_LOG_LEVEL": layout.settings.log_level,
        "TULLE_TRACE_RATIO": str(layout.settings.trace_ratio),
    }


def _sidecar(layout: Layout, workload: Workload) -> Unit:
    name = workload.name
    admin = Path(layout.addresses.admin_socket(name))

    async def prepare() -> None:
        layout.secret(name, "sidecar")
        _envoy_files(layout, name)

    return Unit(
        sidecar_name(name),
        f"sidecar of {name}",
        lambda: envoys.command(name, layout.addresses),
        lambda: envoy_ready(admin),
        f"127.0.0.1:{layout.ports[name]} (mTLS)",
        prepare=prepare,
    )


def _gateway(layout: Layout, served: list[Workload]) -> Unit:
    admin = Path(layout.addresses.admin_socket(GATEWAY))
    settings = layout.settings

    async def prepare() -> None:
        _envoy_files(layout, GATEWAY)

    return Unit(
        GATEWAY,
        topology.WORKLOAD[GATEWAY].what,
        lambda: envoys.command(GATEWAY, layout.addresses),
        lambda: envoy_ready(admin),
        f"http://127.0.0.1:{settings.http_port} and :{settings.https_port} (TLS)",
        # The key set is fetched once at the start: auth answers by then.
        after=tuple(name for workload in served for name in (workload.name, sidecar_name(workload.name))),
        prepare=prepare,
    )


def _envoy_files(layout: Layout, workload: str) -> None:
    layout.folder("envoy")
    for path, text in envoys.files(workload, contract(), layout.addresses).items():
        write_private(Path(path), text)


def certify(layout: Layout, authority: ca.Authority) -> None:
    """Issue every certificate that is missing or past half of its life."""
    certs = layout.folder("certs")
    for folder, names, uri in _identities():
        if ca.due(authority, certs / folder):
            ca.issue(authority, certs / folder, names, uri)


def _identities() -> list[tuple[str, tuple[str, ...], str]]:
    workloads = [(w.name, (w.name,), topology.spiffe_id(w.name)) for w in topology.WORKLOADS]
    servers = [(name, ("localhost", "127.0.0.1", "::1"), "") for name in (EDGE, control.NAME)]
    return [*workloads, *servers]
