"""The workloads on a cluster: who they are, where they run, and what their sidecars do for them beyond Istio's fields.

A service is the same program as on one machine: it listens on a socket of its own sidecar, and
calls others through another. Both are in a volume that the two containers of its pod share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from infra.deploy.istio.objects import Manifest, thing
from infra.deploy.istio.sidecars import relied_on, sockets
from infra.settings import Role
from mesh import envoy
from mesh.contract import Contract
from mesh.envoy import Addresses, Config
from mesh.sidecar import KEYS, proof
from services import topology
from services.topology import Workload

IMAGE = "tulle"
"""Replaced by the deployment's own (kustomize: images)."""
CONTRACT, SETTINGS, PROOF = "contract", "settings", "proof"
"""ConfigMaps: the descriptor set, the services' settings, where a sidecar finds its secret."""
PROXY = 1337
"""The user of Istio's proxy. A service shares it, since its sockets are for their owner alone."""
_RUN, _STATE, _SECRETS, _PROOF, _CONTRACT = (
    "/run/tulle",
    "/var/lib/tulle/state",
    "/var/lib/tulle/secrets",
    "/etc/tulle/proof",
    "/etc/tulle/contract",
)


def workloads(contract: Contract) -> list[Manifest]:
    """All of them but the gateway's own (ingress.py), in an order in which they can be applied."""
    made = [_namespace(), *(account(workload.name) for workload in contract.workloads), _where_the_proof_is()]
    for workload in contract.workloads:
        if workload.serves:
            made += _service(workload, contract)
    return made


def account(workload: str) -> Manifest:
    """The workload's identity. No service asks Kubernetes for anything."""
    return thing("v1", "ServiceAccount", workload, automountServiceAccountToken=False)


def addresses(public_url: str) -> Addresses:
    """Where everything is in a pod."""
    return Addresses(
        run_dir=_RUN,
        secrets_dir=_SECRETS,
        descriptor_set=f"{_CONTRACT}/contract.binpb",
        ports={workload.name: topology.PORT for workload in topology.SERVICES},
        public_url=public_url,
    )


def contract_volume() -> tuple[Manifest, Manifest]:
    """The descriptor set, which transcoders read, and where it is mounted."""
    return {"name": CONTRACT, "configMap": {"name": CONTRACT}}, {"name": CONTRACT, "mountPath": _CONTRACT}


def _namespace() -> Manifest:
    labels = {"istio-injection": "enabled", "pod-security.kubernetes.io/warn": "baseline"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": topology.NAMESPACE, "labels": labels}}


def _where_the_proof_is() -> Manifest:
    """Envoy reads secrets only through discovery: this answer names the file, which a Secret brings."""
    secret = envoy.typed(
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        name="sidecar",
        generic_secret={"secret": {"filename": f"{_SECRETS}/sidecar"}},
    )
    return thing("v1", "ConfigMap", PROOF, data={"proof.yaml": envoy.dump({"resources": [secret]})})


def _service(workload: Workload, contract: Contract) -> Iterator[Manifest]:
    port = {"name": "grpc", "port": topology.PORT, "appProtocol": "grpc"}
    yield thing("v1", "Service", workload.name, spec={"selector": labels(workload), "ports": [port]})
    # Istio's proxy takes calls to the pod's port as ever.
    yield sockets(workload, addresses(""), topology.PORT)
    found = {"path_config_source": {"path": f"{_PROOF}/proof.yaml"}}
    yield relied_on(workload, contract, addresses(""), proof(found))
    yield deployment(workload, labels(workload), _annotations(workload), _pod(workload, "serve"))
    if "nats" in workload.needs:
        yield _workers(workload)


def labels(workload: Workload, role: Role = "serve") -> Mapping[str, str]:
    """By which policies know the pods of a workload (`app`), and its Service those that answer calls."""
    return {"app": workload.name, "role": role}


def deployment(
    workload: Workload, labels: Mapping[str, str], annotations: Mapping[str, str], pod: Manifest
) -> Manifest:
    """As many replicas as the topology says, replaced one by one without going below that."""
    spec = {"replicas": workload.replicas, **_template(labels, annotations, pod)}
    return thing("apps/v1", "Deployment", workload.name, spec=spec)


def worker(workload: Workload) -> str:
    """The name of the Deployment that works on the workload's events."""
    return f"{workload.name}-worker"


def _workers(workload: Workload) -> Manifest:
    """How many there are is decided by how much waits (scaling.py); one, where nothing decides."""
    spec = _template(labels(workload, "work"), _annotations(workload), _pod(workload, "work"))
    return thing("apps/v1", "Deployment", worker(workload), spec=spec)


def _template(labels: Mapping[str, str], annotations: Mapping[str, str], pod: Manifest) -> Manifest:
    return {
        "selector": {"matchLabels": dict(labels)},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": dict(labels), "annotations": dict(annotations)}, "spec": pod},
    }


def _annotations(workload: Workload) -> Mapping[str, str]:
    """What Istio's injection adds to the sidecar: the sockets, its secret, the contract where it transcodes."""
    volumes: Config = {PROOF: {"configMap": {"name": PROOF}}}
    mounts = {"run": {"mountPath": _RUN}, "secrets": {"mountPath": _SECRETS, "readOnly": True}}
    mounts[PROOF] = {"mountPath": _PROOF, "readOnly": True}
    if KEYS in workload.serves:
        volumes[CONTRACT] = {"configMap": {"name": CONTRACT}}
        mounts[CONTRACT] = {"mountPath": _CONTRACT, "readOnly": True}
    return {
        "sidecar.istio.io/userVolume": json.dumps(volumes),
        "sidecar.istio.io/userVolumeMount": json.dumps(mounts),
        # The sidecar is there before its service, and goes after it.
        "proxy.istio.io/config": json.dumps({"holdApplicationUntilProxyStarts": True}),
    }


def _pod(workload: Workload, role: Role) -> Manifest:
    return {
        "serviceAccountName": workload.name,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "fsGroup": PROXY, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(workload, role)],
        "volumes": [
            {"name": "run", "emptyDir": {"medium": "Memory"}},
            {"name": "state", "emptyDir": {}},
            {"name": "secrets", "secret": {"secretName": workload.name, "defaultMode": 0o440}},
        ],
    }


def _container(workload: Workload, role: Role) -> Manifest:
    folders = {"RUN_DIR": _RUN, "STATE_DIR": _STATE, "SECRETS_DIR": _SECRETS}
    settings = {"WORKLOAD": workload.name, "ROLE": role, **folders}
    socket = addresses("").socket(workload.name) if role == "serve" else f"{_RUN}/{worker(workload)}.sock"
    return {
        "name": workload.name,
        "image": IMAGE,
        "command": ["python", "-m", workload.module],
        "env": [{"name": f"TULLE_{name}", "value": value} for name, value in settings.items()],
        "envFrom": [{"configMapRef": {"name": SETTINGS}}],
        "readinessProbe": _asked(socket, "READY") | {"periodSeconds": 10},
        # Three times in a row, or it has not started: its loop stands still.
        "livenessProbe": _asked(socket, "LIVE") | {"periodSeconds": 30, "failureThreshold": 3},
        "volumeMounts": [
            {"name": "run", "mountPath": _RUN},
            {"name": "state", "mountPath": _STATE},
            {"name": "secrets", "mountPath": _SECRETS, "readOnly": True},
        ],
        "securityContext": {
            "runAsUser": PROXY,
            "runAsGroup": PROXY,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _asked(socket: str, of: str) -> Manifest:
    """Its health, over its socket, which no kubelet can reach from outside the pod."""
    asked = f"health.check(pathlib.Path({socket!r}), of=health.{of})"
    program = f"import asyncio, pathlib; from mesh import health; asyncio.run({asked})"
    return {"exec": {"command": ["python", "-c", program]}, "timeoutSeconds": 5}
