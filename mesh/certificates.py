"""Who an Envoy is and whom it believes: TLS 1.3 with certificates that rotate in files (infra/ca.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesh import envoy
from mesh.envoy import Addresses, Config
from services import topology


def sds(workload: str, addresses: Addresses) -> Mapping[str, Config]:
    """Files that tell an Envoy where the workload's certificate is, so that a rotation needs no restart.

    Keys: paths. The watched folder is the one in which infra/ca.py swaps the link `current`.
    """
    folder = f"{addresses.certs_dir}/{workload}"
    watched = {"watched_directory": {"path": folder}}
    chain, key = {"filename": f"{folder}/current/cert.pem"}, {"filename": f"{folder}/current/key.pem"}
    authority = {"filename": f"{folder}/current/ca.pem"}
    identity = {"tls_certificate": {"certificate_chain": chain, "private_key": key} | watched}
    trusted = {"validation_context": {"trusted_ca": authority} | watched}
    return {
        _sds_path(workload, "identity", addresses): _secret("identity", identity),
        _sds_path(workload, "authority", addresses): _secret("authority", trusted),
    }


def _secret(name: str, content: Config) -> Config:
    return {"resources": [envoy.typed("envoy.extensions.transport_sockets.tls.v3.Secret", name=name, **content)]}


def _sds_path(workload: str, name: str, addresses: Addresses) -> str:
    return f"{addresses.sds_dir}/{workload}.{name}.yaml"


def _sds(workload: str, name: str, addresses: Addresses) -> Config:
    return {"name": name, "sds_config": {"path_config_source": {"path": _sds_path(workload, name, addresses)}}}


TLS_1_3 = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def identity(workload: str, addresses: Addresses, *protocols: str) -> Config:
    """TLS 1.3 with the workload's certificate. `protocols`: for ALPN."""
    return {
        "tls_params": TLS_1_3,
        "alpn_protocols": list(protocols),
        "tls_certificate_sds_secret_configs": [_sds(workload, "identity", addresses)],
    }


def mutual(workload: str, addresses: Addresses, peers: Iterable[str]) -> Config:
    """`identity`, and of the other side a certificate of exactly one of `peers`."""
    exact = [{"san_type": "URI", "matcher": {"exact": topology.spiffe_id(peer)}} for peer in peers]
    return identity(workload, addresses, "h2") | {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": exact},
            "validation_context_sds_secret_config": _sds(workload, "authority", addresses),
        }
    }


def server_tls(common: Config, **fields: Any) -> Config:
    """The server's side of TLS."""
    message = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return envoy.http_filter("envoy.transport_sockets.tls", message, common_tls_context=common, **fields)


def client_tls(common: Config, name: str) -> Config:
    """The client's side of TLS. `name`: whom to ask for (SNI)."""
    message = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    return envoy.http_filter("envoy.transport_sockets.tls", message, common_tls_context=common, sni=name)
