"""The edge on a cluster: Istio's gateway, whose Envoy does what the static one does, in the same order.

Who may call what is Istio's own: RequestAuthentication, AuthorizationPolicy, VirtualService. What
Istio has no field for comes from the same functions as the static gateway, in one EnvoyFilter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway import config, cors, routes
from gateway.limits import JWT
from infra.deploy.istio import objects
from infra.deploy.istio.objects import ROUTER, Manifest, drop, envoy_filter, http_filter, manager, patch, thing
from infra.deploy.istio.policies import retries
from infra.deploy.istio.workloads import contract_volume, deployment
from mesh import envoy, hops
from mesh.contract import NONE, REQUIRED, Contract, Method
from mesh.envoy import Addresses, seconds
from mesh.tokens import AUDIENCE
from services import topology
from services.topology import GATEWAY

EDGE = config.EDGE
HTTPS = 8443
"""The port of the pods; clients see 443."""
_SELECTED = {"app": GATEWAY}
_SHOWN = "/etc/tulle/edge"
_CERTIFICATE, _KEY = f"{_SHOWN}/tls.crt", f"{_SHOWN}/tls.key"


def ingress(contract: Contract, addresses: Addresses) -> list[Manifest]:
    """All of it."""
    return [*_pods(contract), listeners([https(HTTPS, _CERTIFICATE, _KEY)]), *rules(contract, addresses)]


def rules(contract: Contract, addresses: Addresses) -> list[Manifest]:
    """What holds wherever it listens."""
    return [
        _routes(contract),
        _believed(addresses),
        _allowed(contract),
        _filters(contract, addresses),
    ]


def _pods(contract: Contract) -> Iterator[Manifest]:
    # Local: the client's address, by which it is limited, is not replaced by a node's.
    yield service({"https": (443, HTTPS)}, type="LoadBalancer", externalTrafficPolicy="Local")
    volume, mount = contract_volume()
    shown = {"name": EDGE, "secret": {"secretName": EDGE}}
    mounts = [mount, {"name": EDGE, "mountPath": _SHOWN, "readOnly": True}]
    # Istio's injection makes the proxy of this container.
    proxy = {"name": "istio-proxy", "image": "auto", "volumeMounts": mounts}
    pod = {
        "serviceAccountName": GATEWAY,
        "automountServiceAccountToken": False,
        "containers": [proxy],
        "volumes": [volume, shown],
    }
    made = deployment(contract.workload(GATEWAY), _SELECTED, {"inject.istio.io/templates": "gateway"}, pod)
    made["spec"]["template"]["metadata"]["labels"] = _SELECTED | {"sidecar.istio.io/inject": "true"}
    yield made


def service(ports: Mapping[str, tuple[int, int]], **how: str) -> Manifest:
    """Where clients find it. `ports`: protocol -> theirs and the pods'."""
    pairs = [{"name": name, "port": theirs, "targetPort": ours} for name, (theirs, ours) in ports.items()]
    return thing("v1", "Service", GATEWAY, spec={**how, "selector": _SELECTED, "ports": pairs})


def listeners(servers: list[Manifest]) -> Manifest:
    """Where it listens."""
    return thing("networking.istio.io/v1", "Gateway", EDGE, spec={"selector": _SELECTED, "servers": servers})


def https(port: int, certificate: str, key: str, **more: str) -> Manifest:
    """A listener with TLS. `certificate`, `key`: files, since who may read one Secret by name may read them all."""
    return {
        "port": {"number": port, "name": "https", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {
            "mode": "SIMPLE",
            "serverCertificate": certificate,
            "privateKey": key,
            "minProtocolVersion": "TLSV1_3",
        },
        **more,
    }


def _routes(contract: Contract) -> Manifest:
    rows = [_route(method, contract) for method in routes.offered(contract)]
    return thing(
        "networking.istio.io/v1", "VirtualService", EDGE, spec={"hosts": ["*"], "gateways": [EDGE], "http": rows}
    )


def _route(method: Method, contract: Contract) -> Manifest:
    """Each method, as what it is after the transcoder: a gRPC call. It is the edge's own margin that differs."""
    destination = {"host": topology.host(contract.owner(method.service).name), "port": {"number": topology.PORT}}
    row = {
        "name": method.path,
        "match": [{"uri": {"exact": method.path}, "headers": {"content-type": {"prefix": "application/grpc"}}}],
        "timeout": seconds(method.deadline + hops.EDGE_MARGIN),
        "retries": retries(method),
        "route": [{"destination": destination}],
    }
    if method.end_user == NONE:
        row["headers"] = {"request": {"remove": ["authorization"]}}
    return row


def _believed(addresses: Addresses) -> Manifest:
    """Whose tokens count."""
    rule = {
        "issuer": addresses.public_url,
        "audiences": [AUDIENCE],
        "jwksUri": f"http://{topology.authority(config.AUTH)}/.well-known/jwks.json",
        "fromHeaders": [{"name": "authorization", "prefix": "Bearer "}],
        "forwardOriginalToken": True,
    }
    spec = {"selector": {"matchLabels": _SELECTED}, "jwtRules": [rule]}
    return thing("security.istio.io/v1", "RequestAuthentication", EDGE, spec=spec)


def _allowed(contract: Contract) -> Manifest:
    """What the contract opens, for whom it opens it; a token that is needed must be there."""
    groups: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for method in routes.offered(contract):
        whose = (method.end_user, tuple(sorted(method.roles)), method.scope)
        groups.setdefault(whose, []).append(method.path)
    rules = [rule for whose, paths in sorted(groups.items()) for rule in _rules(*whose, paths)]
    spec = {"selector": {"matchLabels": _SELECTED}, "action": "ALLOW", "rules": rules}
    return thing("security.istio.io/v1", "AuthorizationPolicy", EDGE, spec=spec)


def _rules(end_user: str, roles: Iterable[str], scope: str, paths: list[str]) -> Iterator[Manifest]:
    """One for people, or nobody: who has no scopes; and one for keys, if the methods are for keys too.

    An empty list of scopes, which auth never signs, matches no value here; the pipelines refuse it.
    """
    rule: Manifest = {"to": [{"operation": {"methods": ["POST"], "paths": paths}}]}
    if end_user == REQUIRED:
        rule["from"] = [{"source": {"requestPrincipals": ["*"]}}]
    held = [{"key": "request.auth.claims[roles]", "values": list(roles)}] if roles else []
    if end_user == NONE:
        yield rule
        return
    yield rule | {"when": [*held, {"key": _SCOPES, "notValues": ["*"]}]}
    if scope:
        yield rule | {"when": [*held, {"key": _SCOPES, "values": [scope]}]}


_SCOPES = "request.auth.claims[scopes]"


def _filters(contract: Contract, addresses: Addresses) -> Manifest:
    """In an order that is policy: strict, transcoded, limited by address; tokens and roles; limited by caller."""
    keys = f"outbound|{topology.PORT}||{topology.host(config.AUTH)}"
    patches = [
        *(patch(objects.EDGE, "CLUSTER", "ADD", one) for one in config.helpers(addresses)),
        manager(
            objects.EDGE,
            envoy.typed(_MANAGER, max_request_headers_kb=hops.HEADERS_KIB, **config.edge(contract, addresses)),
        ),
        *_connections(),
        *(drop(objects.EDGE, one) for one in _UNASKED),
        *(http_filter(objects.EDGE, "INSERT_FIRST", one) for one in reversed(config.before(contract, addresses))),
        http_filter(objects.EDGE, "REPLACE", config.tokens(addresses, keys), JWT),
        *(http_filter(objects.EDGE, "INSERT_BEFORE", one, ROUTER) for one in config.after(addresses)),
        *_route_patches(contract, addresses),
    ]
    return envoy_filter(EDGE, _SELECTED, patches)


_UNASKED = ("envoy.filters.http.grpc_stats", "envoy.filters.http.fault", cors.FILTER)
"""Filters that Istio adds and the static gateway lacks, or has elsewhere."""


def _connections() -> Iterator[Manifest]:
    """What one connection may hold, and how soon it must have shaken hands."""
    yield patch(objects.EDGE, "LISTENER", "MERGE", config.buffers())
    yield patch(objects.EDGE, "FILTER_CHAIN", "MERGE", config.handshake())


_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def _route_patches(contract: Contract, addresses: Addresses) -> Iterator[Manifest]:
    """What the static route table says and a VirtualService cannot: limits, whether a token is looked at, caching."""
    (host,) = routes.table(contract, addresses)["resources"]
    (rows,) = host["virtual_hosts"]
    *methods, rest = rows["routes"]
    whole = {key: host[key] for key in _FOR_ALL} | {"routes": [rest]}
    whole |= {"typed_per_filter_config": rows["typed_per_filter_config"]}
    yield patch(objects.EDGE, "VIRTUAL_HOST", "MERGE", whole)
    for row in methods:
        where = {"vhost": {"route": {"name": row["name"]}}}
        value = {key: row[key] for key in _FOR_ONE}
        yield patch(objects.EDGE, "HTTP_ROUTE", "MERGE", value, routeConfiguration=where)


_FOR_ALL = ("request_headers_to_add", "request_headers_to_remove", "response_headers_to_add")
_FOR_ONE = ("response_headers_to_add", "typed_per_filter_config")
