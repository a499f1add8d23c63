"""The workloads on a cluster: laws that hold for each one of the topology."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy.istio import ingress, scaling, workloads
from infra.deploy.istio.files import FILES
from infra.deploy.istio.workloads import PROXY, addresses
from infra.events import streams
from mesh.contract import DESCRIPTOR_SET, contract
from mesh.limits import DRAIN
from services import topology
from services.topology import GATEWAY, Workload

SERVED = [workload for workload in topology.WORKLOADS if workload.serves]
WORKING = [workload for workload in SERVED if "nats" in workload.needs]
PODS = [*SERVED, topology.WORKLOAD[GATEWAY]]
OBJECTS = [*workloads.workloads(contract()), *ingress.ingress(contract(), addresses("https://a.example"))]
KUBERNETES_GRACE = 30
"""Seconds between SIGTERM and SIGKILL unless a pod says otherwise."""
each_service = pytest.mark.parametrize("workload", SERVED, ids=lambda workload: workload.name)
each_pod = pytest.mark.parametrize("workload", PODS, ids=lambda workload: workload.name)


def of_kind(kind: str) -> dict[str, Any]:
    """All objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


def template(workload: Workload) -> dict[str, Any]:
    """What pods are made of."""
    return dict(of_kind("Deployment")[workload.name]["spec"]["template"])


def pod(workload: Workload) -> dict[str, Any]:
    return dict(template(workload)["spec"])


def container(workload: Workload) -> dict[str, Any]:
    """Its only container: the proxy's is injected."""
    (only,) = pod(workload)["containers"]
    return dict(only)


def annotation(workload: Workload, name: str) -> dict[str, Any]:
    return dict(json.loads(template(workload)["metadata"]["annotations"][name]))


def test_whoever_runs_is_there_once() -> None:
    """Each workload that serves, and the gateway, has one Deployment and one Service; events have workers."""
    names = {workload.name for workload in PODS}
    assert set(of_kind("Service")) == names
    assert set(of_kind("Deployment")) == names | {f"{workload.name}-worker" for workload in WORKING}


def test_everybody_has_an_identity_and_no_key_to_kubernetes() -> None:
    """Each workload has an account of its own, whose token is mounted nowhere."""
    accounts = of_kind("ServiceAccount")
    assert set(accounts) == {workload.name for workload in topology.WORKLOADS}
    assert {one["automountServiceAccountToken"] for one in accounts.values()} == {False}
    assert not [one for one in OBJECTS if one["kind"] in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")]


@each_pod
def test_a_pod_is_its_workload_s(workload: Workload) -> None:
    """It runs under its own account, found by the label by which policies, its Service and its Deployment know it."""
    assert pod(workload)["serviceAccountName"] == workload.name
    assert pod(workload)["automountServiceAccountToken"] is False
    labels = template(workload)["metadata"]["labels"]
    assert labels["app"] == workload.name
    deployment, service = of_kind("Deployment")[workload.name]["spec"], of_kind("Service")[workload.name]["spec"]
    assert deployment["selector"]["matchLabels"] == service["selector"]
    assert service["selector"].items() <= labels.items()


def test_workers_are_their_workload_apart_from_calls() -> None:
    """Same account, same pod, same sidecar, found by the same policies; but no Service leads to them."""
    for workload in WORKING:
        found = of_kind("Deployment")[f"{workload.name}-worker"]["spec"]
        labels = found["template"]["metadata"]["labels"]
        assert labels["app"] == workload.name
        assert not of_kind("Service")[workload.name]["spec"]["selector"].items() <= labels.items()
        assert found["template"]["metadata"]["annotations"] == template(workload)["metadata"]["annotations"]
        assert "replicas" not in found  # what scales them says how many
        assert _roles(found["template"]["spec"]) == ["work"]
        assert _roles(pod(workload)) == ["serve"]


def _roles(of: dict[str, Any]) -> list[str]:
    (only,) = of["containers"]
    return [row["value"] for row in only["env"] if row["name"] == "TULLE_ROLE"]


def test_workers_are_scaled_by_what_waits_for_them() -> None:
    """Each consumer that the contract gives a workload is looked at, by its name at the broker."""
    scaled = {one["metadata"]["name"]: one["spec"] for one in scaling.scaling(contract())}
    wanted: dict[str, set[tuple[str, str]]] = {}
    for stream, consumer in streams.consumer_configs(contract()):
        name = str(consumer.durable_name)
        wanted.setdefault(f"{name.partition('-')[0]}-worker", set()).add((stream, name))
    found = {
        name: {(one["metadata"]["stream"], one["metadata"]["consumer"]) for one in spec["triggers"]}
        for name, spec in scaled.items()
    }
    assert found == wanted
    assert {spec["scaleTargetRef"]["name"] for spec in scaled.values()} <= set(of_kind("Deployment"))


@each_pod
def test_a_new_version_costs_no_replica(workload: Workload) -> None:
    """As many replicas as the topology says, and never fewer while they are replaced."""
    spec = of_kind("Deployment")[workload.name]["spec"]
    assert spec["replicas"] == workload.replicas
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@each_service
def test_a_service_may_do_little(workload: Workload) -> None:
    """Not root, no capabilities, none to gain, the runtime's seccomp profile, nothing written but in its volumes."""
    whole, own = pod(workload)["securityContext"], container(workload)["securityContext"]
    assert (whole["runAsNonRoot"], whole["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert (own["allowPrivilegeEscalation"], own["capabilities"]) == (False, {"drop": ["ALL"]})
    assert own["readOnlyRootFilesystem"] is True
    assert not [key for key in ("hostNetwork", "hostPID", "hostIPC") if key in pod(workload)]
    assert not [volume for volume in pod(workload)["volumes"] if "hostPath" in volume]


@each_service
def test_a_service_shares_its_user_with_its_sidecar(workload: Workload) -> None:
    """Sockets are for their owner alone: both are 1337, who may read the secrets through the group."""
    own = container(workload)["securityContext"]
    assert {own["runAsUser"], own["runAsGroup"], pod(workload)["securityContext"]["fsGroup"]} == {PROXY}
    (secrets,) = [volume["secret"] for volume in pod(workload)["volumes"] if "secret" in volume]
    assert (secrets["secretName"], secrets["defaultMode"]) == (workload.name, 0o440)


@each_service
def test_a_service_runs_its_own_module(workload: Workload) -> None:
    """What the topology says is run, under the workload's name, with folders that are mounted."""
    own = container(workload)
    assert own["command"] == ["python", "-m", workload.module]
    told = {row["name"]: row["value"] for row in own["env"]}
    assert told.pop("TULLE_WORKLOAD") == workload.name
    assert told.pop("TULLE_ROLE") == "serve"
    assert set(told.values()) <= {mount["mountPath"] for mount in own["volumeMounts"]}


@each_service
def test_a_service_is_asked_how_it_is(workload: Workload) -> None:
    """Traffic comes when it is ready, and it is restarted when its loop stands still, not when a box is away."""
    ready, live = (container(workload)[probe]["exec"]["command"] for probe in ("readinessProbe", "livenessProbe"))
    assert addresses("").socket(workload.name) in ready[-1]
    assert "LIVE" in live[-1]
    assert "LIVE" not in ready[-1]
    for command in (ready, live):
        assert command[:2] == ["python", "-c"]
        compile(command[-1], "probe", "exec")


@each_service
def test_calls_under_way_may_end(workload: Workload) -> None:
    """Kubernetes waits longer than a service drains; its sidecar is there before it and goes after it."""
    assert pod(workload).get("terminationGracePeriodSeconds", KUBERNETES_GRACE) > DRAIN
    assert annotation(workload, "proxy.istio.io/config")["holdApplicationUntilProxyStarts"] is True


@each_service
def test_a_service_and_its_sidecar_meet(workload: Workload) -> None:
    """Both mount the sockets at one place, and no volume is mounted that is not there."""
    volumes = {volume["name"] for volume in pod(workload)["volumes"]}
    added = annotation(workload, "sidecar.istio.io/userVolume")
    mounts = annotation(workload, "sidecar.istio.io/userVolumeMount")
    own = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    assert mounts["run"]["mountPath"] == own["run"] == addresses("").run_dir
    assert set(mounts) <= volumes | set(added)
    assert set(own) <= volumes


@each_service
def test_a_sidecar_has_the_proof_of_its_own_service(workload: Workload) -> None:
    """The file that its Envoy is sent to lies in the workload's own Secret, read-only."""
    (secret,) = yaml.safe_load(of_kind("ConfigMap")[workloads.PROOF]["data"]["proof.yaml"])["resources"]
    file = Path(secret["generic_secret"]["secret"]["filename"])
    mounts = annotation(workload, "sidecar.istio.io/userVolumeMount")
    assert (str(file.parent), mounts["secrets"]["readOnly"]) == (mounts["secrets"]["mountPath"], True)


@each_service
def test_a_service_is_called_at_one_port(workload: Workload) -> None:
    """That of its name, as gRPC; the sidecar hands what comes there to the socket."""
    (port,) = of_kind("Service")[workload.name]["spec"]["ports"]
    assert (port["port"], port["appProtocol"]) == (topology.PORT, "grpc")
    (inbound,) = of_kind("Sidecar")[workload.name]["spec"]["ingress"]
    assert (inbound["port"]["number"], inbound["defaultEndpoint"]) == (
        topology.PORT,
        f"unix://{addresses('').socket(workload.name)}",
    )


def test_the_gateway_mounts_what_its_listener_shows() -> None:
    """Certificate, key and contract are files of mounted volumes: the gateway reads no Secret through Kubernetes."""
    (server,) = of_kind("Gateway")[ingress.EDGE]["spec"]["servers"]
    assert "credentialName" not in server["tls"]
    gateway = topology.WORKLOAD[GATEWAY]
    mounts = {mount["mountPath"] for mount in container(gateway)["volumeMounts"]}
    files = (server["tls"]["serverCertificate"], server["tls"]["privateKey"], addresses("").descriptor_set)
    assert {str(Path(file).parent) for file in files} == mounts
    assert Path(addresses("").descriptor_set).name == DESCRIPTOR_SET.name


def test_the_gateway_listens_where_its_service_points() -> None:
    """Clients' port leads to that of the listener, and the client's own address is kept."""
    (server,) = of_kind("Gateway")[ingress.EDGE]["spec"]["servers"]
    spec = of_kind("Service")[GATEWAY]["spec"]
    assert [port["targetPort"] for port in spec["ports"]] == [server["port"]["number"]]
    assert spec["externalTrafficPolicy"] == "Local"


def test_istio_is_let_in() -> None:
    """The namespace has sidecars injected, and is watched for pods that ask for more than they should."""
    labels = of_kind("Namespace")[topology.NAMESPACE]["metadata"]["labels"]
    assert labels["istio-injection"] == "enabled"
    assert labels["pod-security.kubernetes.io/warn"] == "baseline"


def test_every_object_is_in_a_file() -> None:
    """What is rendered is what is committed: the files hold these kinds, in the platform's namespace alone."""
    made = [one for name in FILES if name != "mesh" for one in FILES[name](contract())]
    assert {one["kind"] for one in OBJECTS} <= {one["kind"] for one in made}
    assert {one["metadata"].get("namespace", topology.NAMESPACE) for one in made} == {topology.NAMESPACE}
