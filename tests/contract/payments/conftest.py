from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.billing.payments import open_payments
from tests.contract.payments.providers import Fake, Provider, StandIn
from tests.servers import PaymentProvider


@pytest.fixture(params=["memory", "localstripe"])
async def provider(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    """Each provider in turn, new."""
    if request.param == "memory":
        yield Fake()
        return
    server = PaymentProvider(tmp_path)
    await server.start()
    try:
        async with open_payments(server.url, server.KEY) as payments:
            yield StandIn(payments, server)
    finally:
        server.kill()
