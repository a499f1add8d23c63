"""Who may call whom, and how calls are routed, as Istio's objects: pure functions of the contract."""

from __future__ import annotations

from infra.deploy.istio.objects import Manifest, thing
from mesh import hops, upstreams
from mesh.contract import Contract, Method
from mesh.envoy import seconds
from mesh.sidecar import allowed, served
from services import topology


def policies(contract: Contract) -> list[Manifest]:
    """All of them."""
    workloads = [workload.name for workload in contract.workloads if workload.serves]
    return [
        _strict(),
        _nobody(),
        *(_authorization(name, contract) for name in workloads),
        *(_routes(name, contract) for name in workloads),
        *(_destination(name) for name in workloads),
    ]


def _strict() -> Manifest:
    return thing("security.istio.io/v1", "PeerAuthentication", "default", spec={"mtls": {"mode": "STRICT"}})


def _nobody() -> Manifest:
    """A workload that nothing is said of may be called by nobody."""
    return thing("security.istio.io/v1", "AuthorizationPolicy", "nobody", spec={})


def _authorization(workload: str, contract: Contract) -> Manifest:
    rules = [
        {
            "from": [{"source": {"principals": [topology.spiffe_id(caller).removeprefix("spiffe://")]}}],
            "to": [{"operation": {"methods": ["POST"], "paths": list(paths)}}],
        }
        for caller, paths in allowed(workload, contract).items()
    ]
    spec = {"selector": {"matchLabels": {"app": workload}}, "action": "ALLOW", "rules": rules}
    return thing("security.istio.io/v1", "AuthorizationPolicy", workload, spec=spec)


def _routes(workload: str, contract: Contract) -> Manifest:
    routes = [_route(workload, method) for method in served(workload, contract)]
    return thing(
        "networking.istio.io/v1", "VirtualService", workload, spec={"hosts": [topology.host(workload)], "http": routes}
    )


def _route(workload: str, method: Method) -> Manifest:
    return {
        "match": [{"uri": {"exact": method.path}}],
        "timeout": seconds(method.deadline + hops.OUTBOUND_MARGIN),
        "retries": retries(method),
        "route": [{"destination": {"host": topology.host(workload)}}],
    }


def retries(method: Method) -> Manifest:
    """How often a call is repeated, which must be said: by itself Istio does it twice."""
    if not method.retry_safe:
        return {"attempts": 0}
    # Spent by the caller's sidecar within the budget of _destination, as by a static one.
    return {
        "attempts": hops.RETRIES,
        "retryOn": upstreams.RETRY_ON,
        "backoff": seconds(hops.RETRY_PAUSE),
        "retryIgnorePreviousHosts": True,
    }


def _destination(workload: str) -> Manifest:
    """How a workload is reached: mutual TLS, bounded, and around replicas that fail."""
    traffic = {
        "tls": {"mode": "ISTIO_MUTUAL"},
        "connectionPool": {
            "tcp": {"maxConnections": hops.HOP_CONNECTIONS, "connectTimeout": seconds(hops.HOP_CONNECT)},
            "http": {"http1MaxPendingRequests": hops.HOP_CALLS, "http2MaxRequests": hops.HOP_CALLS + hops.HOP_STREAMS},
        },
        "retryBudget": {"percent": hops.RETRY_BUDGET, "minRetryConcurrency": hops.RETRIES_FREE},
        "outlierDetection": {
            "splitExternalLocalOriginErrors": True,
            "consecutiveLocalOriginFailures": hops.EJECT_AFTER,
            "consecutiveGatewayErrors": hops.EJECT_AFTER,
            # An INTERNAL is the service's own fault, on every replica alike.
            "consecutive5xxErrors": 0,
            "interval": seconds(hops.EJECT_LOOK),
            "baseEjectionTime": seconds(hops.EJECTED),
            "maxEjectionPercent": hops.MAX_EJECTED,
        },
    }
    spec = {"host": topology.host(workload), "trafficPolicy": traffic}
    return thing("networking.istio.io/v1", "DestinationRule", workload, spec=spec)
