from __future__ import annotations

import pytest

from tests.unit.services.billing.world import World


@pytest.fixture
def world() -> World:
    """Nobody has subscribed to anything yet."""
    return World()
