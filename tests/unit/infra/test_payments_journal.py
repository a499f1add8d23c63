"""The journal of the stand-in for Stripe misses nothing that moved money."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.local.payments.server import Provider
from infra.local.payments.state import journal


@dataclass
class DebitSucceeded:
    """What localstripe tells when a bank has paid."""

    id: str = "evt_1"
    type: str = "payment_intent.succeeded"
    data: dict[str, Any] = field(
        default_factory=lambda: {"object": {"object": "payment_intent", "id": "pi_1", "status": "succeeded"}}
    )

    def _export(self) -> dict[str, Any]:
        return {"id": self.id, "type": self.type}


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path, "key")


async def test_a_debit_is_journalled_whoever_commits_first(provider: Provider) -> None:
    """What happened beside a request is in the journal, also when that request commits before it."""
    provider.happened(DebitSucceeded())
    provider.commit([{"object": "refund", "id": "re_1"}])
    await asyncio.sleep(0)
    assert [line["id"] for line in journal(provider.folder)] == ["pi_1", "re_1"]
    assert provider.state.waiting() == 1


async def test_a_debit_alone_is_journalled_once(provider: Provider) -> None:
    """Without any request it is committed by itself."""
    provider.happened(DebitSucceeded())
    await asyncio.sleep(0)
    assert [line["id"] for line in journal(provider.folder)] == ["pi_1"]
