"""The control plane's processes: how each is configured, started, and known to be ready."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.deploy.istio import sidecars
from infra.istio import tools
from infra.istio.limits import APPLY_WITHIN, LOOK_WITHIN
from infra.local.layout import Layout, write_private
from services import topology

NAME = "kubernetes"
"""Of the API server: its unit, its certificate, its port."""
SYSTEM = "istio-system"


class Refused(Exception):
    """The API server did not take it; the message is kubectl's."""


@dataclass(frozen=True)
class Place:
    """Where the control plane of one stack is."""

    folder: Path
    certs: Path
    etcd: Path
    ports: Mapping[str, int]
    token: str

    @property
    def kubeconfig(self) -> Path:
        """For kubectl, istioctl and istiod."""
        return self.folder / "kubeconfig"

    @property
    def url(self) -> str:
        """Of the API server."""
        return f"https://127.0.0.1:{self.ports[NAME]}"


def place(layout: Layout) -> Place:
    """Where the control plane of the stack is."""
    token = layout.secret("stack", NAME)
    return Place(layout.folder("istio"), layout.data / "certs" / NAME, layout.run / "etcd.sock", layout.ports, token)


def peers(place: Place) -> Path:
    """Where etcd would hear of other members."""
    return place.etcd.with_suffix(".peers")


def etcd_command(place: Place) -> list[str]:
    """etcd on a socket that only we can reach: it asks nobody who they are."""
    url, members = f"unix://{place.etcd}", f"unix://{peers(place)}"
    return [
        tools.program("server"),
        *("--data-dir", str(place.folder / "etcd"), "--name", "local"),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", members, "--initial-advertise-peer-urls", members),
        *("--initial-cluster", f"local={members}"),
        # It begins empty at each start of the stack.
        "--unsafe-no-fsync",
        *("--log-level", "warn"),
    ]


def configure_kubernetes(place: Place) -> None:
    """Write what the API server and its clients read: the key of its tokens, our token, the kubeconfig."""
    key = place.folder / "accounts.key"
    if not key.exists():
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(key, _pem(private))
    write_private(place.folder / "tokens.csv", f"{place.token},stack,1,system:masters\n")
    write_private(place.kubeconfig, json.dumps(_kubeconfig(place)))


def kubernetes_command(place: Place) -> list[str]:
    """The API server alone: no nodes, no controllers, admission and validation as in any cluster."""
    key = str(place.folder / "accounts.key")
    return [
        tools.program("kube-apiserver"),
        f"--etcd-servers=unix://{place.etcd}",
        f"--service-account-issuer={place.url}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/24",
        "--bind-address=127.0.0.1",
        f"--secure-port={place.ports[NAME]}",
        f"--cert-dir={place.folder / 'own'}",
        f"--tls-cert-file={place.certs / 'cert.pem'}",
        f"--tls-private-key-file={place.certs / 'key.pem'}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={place.folder / 'tokens.csv'}",
        "--disable-admission-plugins=ServiceAccount",
        # Nobody renews leases of this server: there is one.
        "--endpoint-reconciler-type=none",
    ]


async def kubernetes_ready(place: Place) -> None:
    """Raises: OSError, ValueError unless the API server takes requests."""
    trusted = ssl.create_default_context(cafile=str(place.certs / "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", place.ports[NAME], timeout=LOOK_WITHIN, context=trusted)
    await asyncio.to_thread(_ask, connection, "/readyz", {"authorization": f"Bearer {place.token}"})


def configure_istiod(place: Place, mesh: str) -> None:
    """Write the mesh configuration."""
    write_private(place.folder / "mesh.yaml", mesh)


def istiod_command(place: Place) -> list[str]:
    """istiod: only xDS, and a port for its health. Certificates are the stack's own."""
    ports = place.ports
    return [
        tools.program("pilot-discovery"),
        "discovery",
        f"--kubeconfig={place.kubeconfig}",
        f"--meshConfig={place.folder / 'mesh.yaml'}",
        f"--grpcAddr=127.0.0.1:{ports['istiod']}",
        "--secureGRPCAddr=",
        "--httpsAddr=",
        f"--httpAddr=127.0.0.1:{ports['istiod-http']}",
        f"--monitoringAddr=127.0.0.1:{ports['istiod-monitoring']}",
        # Its page with buttons for everybody cannot be switched off; on an address that is nobody's it fails to open.
        "--ctrlz_address=192.0.2.1",
        "--log_output_level=all:warn",
    ]


ISTIOD_SETTINGS = {
    **sidecars.ISTIOD,
    # The Envoys are stock: they lack Istio's own filters.
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "PILOT_ENABLE_AMBIENT": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "ENABLE_DEBUG_ON_HTTP": "false",
    "POD_NAMESPACE": SYSTEM,
    "POD_NAME": "istiod",
}


async def istiod_ready(place: Place) -> None:
    """Raises: OSError, ValueError unless istiod knows all that the API server holds."""
    connection = http.client.HTTPConnection("127.0.0.1", place.ports["istiod-http"], timeout=LOOK_WITHIN)
    await asyncio.to_thread(_ask, connection, "/ready", {})


async def kubectl(place: Place, *arguments: str, given: str = "") -> str:
    """What kubectl says. Raises: Refused."""
    process = await asyncio.create_subprocess_exec(
        tools.kubectl(),
        *("--kubeconfig", str(place.kubeconfig)),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(APPLY_WITHIN):
        said, failed = await process.communicate(given.encode())
    if process.returncode:
        raise Refused(failed.decode().strip())
    return said.decode()


async def apply(place: Place, manifests: str) -> None:
    """Have the API server hold exactly these objects, each as strictly validated as it can. Raises: Refused."""
    options = ("--server-side", "--force-conflicts", "--field-manager=tulle", "--validate=strict")
    await kubectl(place, "apply", *options, "-f", "-", given=manifests)


async def define(place: Place) -> None:
    """Have the API server know Istio's kinds, and the namespaces. Raises: Refused."""
    namespaces = [json.dumps(_namespace(name)) for name in (SYSTEM, topology.NAMESPACE)]
    await apply(place, "\n---\n".join([*namespaces, tools.definitions()]))
    await kubectl(place, "wait", "--for=condition=established", "crd", "--all", f"--timeout={APPLY_WITHIN:g}s")


def _namespace(name: str) -> dict[str, object]:
    labels = {"istio-injection": "disabled"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _ask(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> None:
    with contextlib.closing(connection):
        connection.request("GET", path, headers=dict(headers))
        if (status := connection.getresponse().status) != HTTPStatus.OK:
            raise ValueError(f"not ready: {path} answers {status}")


def _kubeconfig(place: Place) -> dict[str, object]:
    cluster = {"server": place.url, "certificate-authority": str(place.certs / "ca.pem")}
    context = {"cluster": "local", "user": "stack", "namespace": topology.NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "stack", "user": {"token": place.token}}],
        "contexts": [{"name": "local", "context": context}],
        "current-context": "local",
    }


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
