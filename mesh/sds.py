"""Certificates for Envoys that istiod configures: what Istio's agent does beside each of them (SDS).

istiod's configuration asks for the secrets `default` (who I am) and `ROOTCA` (whom I trust). Each
Envoy asks on a socket of its own, which decides whose certificate it gets; a renewed one is sent
as soon as it is there, and takes no connection down.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import structlog
from tulle.sds.v1 import sds_pb2 as pb

from infra import ca
from mesh.hops import SDS_LOOK

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
IDENTITY, AUTHORITY = "default", "ROOTCA"

log = structlog.get_logger()


class Secrets:
    """The secrets of one workload, whose certificates are in `folder` (infra/ca.py).

    `shown`: folders of more certificates, which it shows to who is not of the mesh.
    """

    def __init__(self, folder: Path, *shown: Path) -> None:
        self._folders = {IDENTITY: folder, AUTHORITY: folder} | {"file-cert:" + "~".join(files(of)): of for of in shown}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve them on `server`."""
        stream = grpc.stream_stream_rpc_method_handler(
            self._stream, pb.DiscoveryRequest.FromString, pb.DiscoveryResponse.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": stream}),))

    async def _stream(self, _: Any, context: Any) -> None:
        """Answer each new wish, and all wishes again when the certificate was renewed."""
        wanted: tuple[str, ...] = ()
        sent: tuple[tuple[str, ...], str] | None = None
        reading = asyncio.ensure_future(context.read())
        try:
            while True:
                await asyncio.wait({reading}, timeout=SDS_LOOK)
                if reading.done():
                    request = reading.result()
                    if not isinstance(request, pb.DiscoveryRequest):  # the end of the stream
                        return
                    wanted = self._heard(request)
                    reading = asyncio.ensure_future(context.read())
                if wanted and sent != (now := (wanted, self._version())):
                    await context.write(self.response(*now))
                    sent = now
        finally:
            reading.cancel()

    def _heard(self, request: pb.DiscoveryRequest) -> tuple[str, ...]:
        if request.error_detail.code:
            log.error(
                "an Envoy refuses its certificate",
                why=request.error_detail.message,
                folder=str(self._folders[IDENTITY]),
            )
        return tuple(request.resource_names)

    def _version(self) -> str:
        return " ".join((folder / "current").readlink().name for folder in dict.fromkeys(self._folders.values()))

    def response(self, names: tuple[str, ...], version: str) -> pb.DiscoveryResponse:
        """The secrets `names`, of those that there are."""
        response = pb.DiscoveryResponse(version_info=version, type_url=TYPE, nonce=version)
        for name in names:
            if name in self._folders:
                secret = _secret(name, ca.read(self._folders[name]))
                response.resources.add(type_url=TYPE, value=secret.SerializeToString())
        return response


def _secret(name: str, identity: ca.Identity) -> pb.Secret:
    secret = pb.Secret(name=name)
    if name == AUTHORITY:
        secret.validation_context.trusted_ca.inline_bytes = identity.authority
    else:
        secret.tls_certificate.certificate_chain.inline_bytes = identity.certificate
        secret.tls_certificate.private_key.inline_bytes = identity.key
    return secret


async def serve(certs: Path, run: Path, wanted: list[str]) -> None:
    """Serve each workload's secrets on its socket until SIGTERM. `wanted`: `workload[+certificate that it shows]`."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    servers = []
    for workload, *shown in (each.split("+") for each in wanted):
        secrets = Secrets(certs / workload, *(certs / name for name in shown))
        servers.append(_server(secrets, socket(run, workload)))
    for server in servers:
        await server.start()
    await stopping.wait()
    await asyncio.gather(*(server.stop(None) for server in servers))


def socket(run: Path, workload: str) -> Path:
    """Where the Envoy of a workload asks."""
    return run / f"{workload}.sds.sock"


def files(folder: Path) -> tuple[str, str]:
    """The certificate and the key of a folder, under which istiod's configuration asks for what is shown."""
    return f"{folder}/current/cert.pem", f"{folder}/current/key.pem"


def _server(secrets: Secrets, path: Path) -> grpc.aio.Server:
    server = grpc.aio.server()
    secrets.add_to(server)
    path.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{path}")
    return server


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
