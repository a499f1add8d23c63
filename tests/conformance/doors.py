"""The doors at which every gRPC case knocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import grpc

from tests.conformance.mesh import CALLER
from tests.integration.envoy.rig import Rig

PLAIN, SECURE, INSIDE = "gateway, plain", "gateway, TLS", "sidecar to sidecar"
DOORS = (PLAIN, SECURE, INSIDE)


def channel(rig: Rig, door: str) -> grpc.Channel:
    """A channel of grpcio's through the door, which never asks twice."""
    options = (("grpc.enable_retries", 0), ("grpc.ssl_target_name_override", "localhost"))
    if door == SECURE:
        credentials = grpc.ssl_channel_credentials(authority(rig).read_bytes())
        return grpc.secure_channel(f"127.0.0.1:{rig.addresses.https_port}", credentials, options)
    return grpc.insecure_channel(f"127.0.0.1:{rig.addresses.http_port}" if door == PLAIN else inside(rig), options[:1])


def inside(rig: Rig) -> str:
    """The socket on which a workload's sidecar takes its calls."""
    return f"unix:{rig.addresses.out_socket(CALLER)}"


def authority(rig: Rig) -> Path:
    """The certificate of who signed the gateway's."""
    return rig.certs("gateway") / "ca.pem"


Flags = Callable[[Rig], Mapping[str, object]]
FLAGS: Mapping[str, Flags] = {
    PLAIN: lambda rig: {"server_host": "127.0.0.1", "server_port": rig.addresses.http_port},
    SECURE: lambda rig: {
        "server_host": "127.0.0.1",
        "server_port": rig.addresses.https_port,
        "use_tls": "true",
        "use_test_ca": "true",
        "ca_file": authority(rig),
        "server_host_override": "localhost",
    },
    INSIDE: lambda rig: {"server_host": inside(rig), "server_port": 0},
}
"""How gRPC's own client in Go is told the same."""
