"""Who an Envoy is and whom it believes: TLS 1.3 with certificates that rotate in files (infra/ca.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mesh import envoy
from mesh.envoy import Addresses, Config
from services import topology

IDENTITY, AUTHORITY = "identity", "authority"
FILES = (f"{IDENTITY}.yaml", f"{AUTHORITY}.yaml")
"""What an Envoy reads of a certificate, in the set of files that infra/ca.py writes."""


def secrets(certificate: str, key: str, authority: str) -> Mapping[str, str]:
    """PEMs as an Envoy reads them (SDS): each of FILES -> its text.

    The PEMs themselves, not where they are: each file that an Envoy has to watch takes one of the 128 watchers that
    Linux gives a user (fs.inotify.max_user_instances), and a file that names others takes two.
    """
    chain, private = {"inline_string": certificate}, {"inline_string": key}
    identity = {"tls_certificate": {"certificate_chain": chain, "private_key": private}}
    trusted = {"validation_context": {"trusted_ca": {"inline_string": authority}}}
    return dict(zip(FILES, (_secret(IDENTITY, identity), _secret(AUTHORITY, trusted)), strict=True))


def _secret(name: str, content: Config) -> str:
    secret = envoy.typed("envoy.extensions.transport_sockets.tls.v3.Secret", name=name, **content)
    return envoy.dump({"resources": [secret]})


def _sds(workload: str, name: str, addresses: Addresses) -> Config:
    """Read through the link `current`, and again when infra/ca.py swaps it: a rotation needs no restart."""
    folder = f"{addresses.certs_dir}/{workload}"
    source = {"path": f"{folder}/current/{name}.yaml", "watched_directory": {"path": folder}}
    return {"name": name, "sds_config": {"path_config_source": source}}


TLS_1_3 = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def identity(workload: str, addresses: Addresses, *protocols: str) -> Config:
    """TLS 1.3 with the workload's certificate. `protocols`: for ALPN."""
    return {
        "tls_params": TLS_1_3,
        "alpn_protocols": list(protocols),
        "tls_certificate_sds_secret_configs": [_sds(workload, IDENTITY, addresses)],
    }


def mutual(workload: str, addresses: Addresses, peers: Iterable[str]) -> Config:
    """`identity`, and of the other side a certificate of exactly one of `peers`."""
    exact = [{"san_type": "URI", "matcher": {"exact": topology.spiffe_id(peer)}} for peer in peers]
    return identity(workload, addresses, "h2") | {
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": exact},
            "validation_context_sds_secret_config": _sds(workload, AUTHORITY, addresses),
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
