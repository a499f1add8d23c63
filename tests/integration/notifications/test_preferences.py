"""PreferencesService through the whole pipeline and PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tulle.notifications.v1 import preferences_pb2 as pb
from tulle.notifications.v1.preferences_pb2_grpc import PreferencesServiceStub

from mesh.model import Invalid
from tests.integration.notifications.conftest import Process

ADA = "user_01k3v7c2e5f9rbq0j4mzx8w6td"
BOB = "user_01k3v7c2e5f9rbq0j4mzx8w6te"


@pytest.fixture
def stub(process: Process) -> Any:
    return process.stub(PreferencesServiceStub, ADA)


async def update(stub: Any, preferences: pb.Preferences, *mask: str) -> pb.Preferences:
    request = pb.UpdatePreferencesRequest(preferences=preferences, update_mask=FieldMask(paths=mask))
    answer: pb.Preferences = await stub.UpdatePreferences(request)
    return answer


async def test_a_newcomer_reads_the_defaults(stub: Any) -> None:
    """Before anything was said, all ways are open but for news by mail and push, and nothing is quiet."""
    answer = await stub.GetPreferences(pb.GetPreferencesRequest())
    everything = pb.Choice(mail=True, push=True, in_app=True, daily=False)
    assert answer == pb.Preferences(
        billing=everything,
        product=pb.Choice(mail=False, push=False, in_app=True, daily=False),
        content=everything,
        etag="0",
    )


async def test_what_was_changed_is_read(stub: Any, process: Process) -> None:
    """What was said is read, the rest is as it was, and nobody else's has changed."""
    quiet = pb.QuietHours(start="22:30", end="07:00")
    changed = await update(stub, pb.Preferences(content=pb.Choice(mail=False), quiet_hours=quiet))
    assert (changed.etag, changed.quiet_hours, changed.content.mail, changed.content.push) == ("1", quiet, False, True)
    assert await stub.GetPreferences(pb.GetPreferencesRequest()) == changed
    others = await process.stub(PreferencesServiceStub, BOB).GetPreferences(pb.GetPreferencesRequest())
    assert others.etag == "0"


async def test_a_mask_clears(stub: Any) -> None:
    """What a mask names and is not there goes back to its default."""
    quiet = pb.QuietHours(start="22:30", end="07:00")
    await update(stub, pb.Preferences(content=pb.Choice(mail=False), billing=pb.Choice(daily=True), quiet_hours=quiet))
    changed = await update(stub, pb.Preferences(), "content", "quiet_hours")
    assert (changed.content.mail, changed.billing.daily, changed.HasField("quiet_hours")) == (True, True, False)


async def test_a_time_of_day_is_one(stub: Any) -> None:
    """25:00 is refused."""
    with pytest.raises(Invalid):
        await update(stub, pb.Preferences(quiet_hours=pb.QuietHours(start="25:00", end="07:00")))
