"""The server of certificates for Envoys that istiod configures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tulle.sds.v1 import sds_pb2 as pb

from infra import ca
from mesh import sds

LOOK = 0.05
URI = "spiffe://tulle.local/ns/tulle/sa/users"


@dataclass
class Asking:
    """An Envoy's stream, and the folder of the certificates that it is served."""

    stream: Any
    authority: ca.Authority
    folder: Path

    async def ask(self, *names: str, **fields: Any) -> None:
        await self.stream.write(pb.DiscoveryRequest(resource_names=names, type_url=sds.TYPE, **fields))

    async def read(self) -> dict[str, pb.Secret]:
        """The secrets of the next answer, by name."""
        answer: pb.DiscoveryResponse = await asyncio.wait_for(self.stream.read(), 5)
        assert answer.type_url == sds.TYPE
        return {secret.name: secret for one in answer.resources for secret in [pb.Secret.FromString(one.value)]}

    async def silent(self) -> bool:
        """Whether nothing comes for longer than a look takes."""
        try:
            await asyncio.wait_for(self.stream.read(), 3 * LOOK)
        except (TimeoutError, asyncio.CancelledError):
            return True
        return False

    def renew(self) -> ca.Identity:
        ca.issue(self.authority, self.folder, ("users",), URI)
        return ca.read(self.folder)


@pytest.fixture
async def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    monkeypatch.setattr(sds, "SDS_LOOK", LOOK)
    authority = ca.open_authority(tmp_path)
    ca.issue(authority, tmp_path / "users", ("users",), URI)
    server = grpc.aio.server()
    sds.Secrets(tmp_path / "users").add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.stream_stream(
            f"/{sds.SERVICE}/StreamSecrets", pb.DiscoveryRequest.SerializeToString, pb.DiscoveryResponse.FromString
        )
        yield Asking(call(), authority, tmp_path / "users")
    await server.stop(None)


async def test_an_envoy_gets_what_it_asks_for(asking: Asking) -> None:
    """`default` is the workload's certificate with its key, `ROOTCA` whom to trust; other names are nobody's."""
    await asking.ask(sds.IDENTITY, sds.AUTHORITY, "others")
    secrets, identity = await asking.read(), ca.read(asking.folder)
    assert set(secrets) == {sds.IDENTITY, sds.AUTHORITY}
    shown = secrets[sds.IDENTITY].tls_certificate
    assert (shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes) == (
        identity.certificate,
        identity.key,
    )
    assert secrets[sds.AUTHORITY].validation_context.trusted_ca.inline_bytes == identity.authority


async def test_a_renewed_certificate_is_sent(asking: Asking) -> None:
    """Nobody has to ask for a renewed certificate."""
    await asking.ask(sds.IDENTITY)
    await asking.read()
    renewed = asking.renew()
    assert (await asking.read())[sds.IDENTITY].tls_certificate.certificate_chain.inline_bytes == renewed.certificate


@pytest.mark.parametrize("code", [0, 13], ids=["acknowledged", "refused"])
async def test_an_answer_is_sent_once(asking: Asking, code: int) -> None:
    """An answer that was acknowledged or refused is not repeated."""
    await asking.ask(sds.IDENTITY)
    await asking.read()
    await asking.ask(sds.IDENTITY, response_nonce="any", error_detail={"code": code})
    assert await asking.silent()


async def test_who_wants_more_gets_it(asking: Asking) -> None:
    """A request for other names is answered, whatever was sent before."""
    await asking.ask(sds.IDENTITY)
    await asking.read()
    await asking.ask(sds.IDENTITY, sds.AUTHORITY)
    assert set(await asking.read()) == {sds.IDENTITY, sds.AUTHORITY}
