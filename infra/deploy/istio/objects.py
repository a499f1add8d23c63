"""The shape of Kubernetes objects, and of the patches by which an EnvoyFilter adds what Istio has no field for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mesh.envoy import Config
from services import topology

Manifest = dict[str, Any]

INBOUND, OUTBOUND, EDGE = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"
"""Where a patch applies."""
ROUTER = "envoy.filters.http.router"
_MANAGER = "envoy.filters.network.http_connection_manager"


def thing(api: str, kind: str, name: str, **fields: Any) -> Manifest:
    """An object in the platform's namespace."""
    metadata = {"name": name, "namespace": topology.NAMESPACE, "labels": {"app.kubernetes.io/part-of": "tulle"}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def envoy_filter(name: str, labels: Mapping[str, str], patches: Sequence[Manifest]) -> Manifest:
    """The patches of the Envoys of pods with these labels."""
    # After whatever has no priority: relative places are then there.
    spec = {"workloadSelector": {"labels": dict(labels)}, "priority": 10, "configPatches": list(patches)}
    made = thing("networking.istio.io/v1alpha3", "EnvoyFilter", name, spec=spec)
    # The warning that each EnvoyFilter gets: it knows Envoy. So do we, and tests watch every upgrade.
    made["metadata"]["annotations"] = {"galley.istio.io/analyze-suppress": "IST0133"}
    return made


def patch(context: str, what: str, operation: str, value: Config, **match: Any) -> Manifest:
    """One patch. `match`: of which listeners, routes or clusters; all of the kind without it."""
    return {
        "applyTo": what,
        "match": {"context": context, **match},
        "patch": {"operation": operation, "value": value},
    }


def manager(context: str, config: Config) -> Manifest:
    """More settings for what speaks HTTP."""
    value = {"name": _MANAGER, "typed_config": config}
    return patch(context, "NETWORK_FILTER", "MERGE", value, listener=_listener({"name": _MANAGER}))


def http_filter(context: str, operation: str, value: Config, beside: str = "") -> Manifest:
    """An HTTP filter, first or last of all or `beside` another."""
    place = {"name": _MANAGER} | ({"subFilter": {"name": beside}} if beside else {})
    return patch(context, "HTTP_FILTER", operation, value, listener=_listener(place))


def drop(context: str, name: str) -> Manifest:
    """Without this HTTP filter."""
    place = {"name": _MANAGER, "subFilter": {"name": name}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": context, "listener": _listener(place)},
        "patch": {"operation": "REMOVE"},
    }


def _listener(network_filter: Config) -> Config:
    return {"filterChain": {"filter": network_filter}}
