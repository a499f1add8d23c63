"""UsersService through the whole pipeline and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tulle.users.v1 import users_pb2 as pb

from mesh.masks import UnknownField
from mesh.model import Denied, Invalid, Unauthenticated, new_id
from mesh.paging import BadPageToken
from services.users.domain import HandleTaken, ProfileNotFound, StaleProfile, UnknownTimeZone
from tests.integration.users.conftest import Stub

ADA, BOB = new_id("user", 1), new_id("user", 2)
ADMINISTRATOR = f"{new_id('user', 0)}/administrator"

Calling = Callable[..., Stub]


async def update(stub: Stub, *mask: str, **values: Any) -> Any:
    request = pb.UpdateProfileRequest(profile=pb.Profile(**values), update_mask=FieldMask(paths=mask))
    return await stub.UpdateProfile(request)


async def test_a_person_has_a_profile_from_the_first_call(stub: Calling) -> None:
    """Whoever holds a token has a profile, before any event."""
    profile = await stub(ADA).GetProfile(pb.GetProfileRequest())
    assert (profile.user_id, profile.locale, profile.time_zone, profile.etag) == (ADA, "en", "UTC", "0")
    assert (await stub(ADA).GetPreferences(pb.GetPreferencesRequest())).etag == "0"


async def test_nobody_has_nothing(stub: Calling) -> None:
    """Without a token, with a bad one or as another workload nothing is read."""
    for calling, refusal in ((stub(), Unauthenticated), (stub("forged"), Unauthenticated)):
        with pytest.raises(refusal):
            await calling.GetProfile(pb.GetProfileRequest())
    with pytest.raises(Denied):
        await stub(ADA, workload="operator").GetProfile(pb.GetProfileRequest())


async def test_updates_meet_the_rules(stub: Calling) -> None:
    """Each rule for a profile is refused with its own reason."""
    await update(stub(BOB), handle="bob")
    for refusal, mask, values in (
        (HandleTaken, (), {"handle": "bob"}),
        (StaleProfile, (), {"handle": "ada", "etag": "7"}),
        (UnknownTimeZone, (), {"time_zone": "Mars/Olympus"}),
        (UnknownField, ("nickname",), {}),
        (Invalid, (), {"handle": "No Spaces"}),
    ):
        with pytest.raises(refusal):
            await update(stub(ADA), *mask, **values)
    assert (await stub(ADA).GetProfile(pb.GetProfileRequest())).etag == "0"


async def test_one_of_many_at_once_gets_the_handle(stub: Calling) -> None:
    """Of many who want one handle at the same time exactly one gets it."""
    everybody = [new_id("user") for _ in range(10)]
    done = await asyncio.gather(*(update(stub(one), handle="ada") for one in everybody), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["HandleTaken"] * 9 + ["Profile"]


async def test_changes_at_once_are_all_made(stub: Calling) -> None:
    """Changes of different fields at the same time, without etags, are all there in the end."""
    values = {"display_name": "Ada", "locale": "pt", "time_zone": "Europe/Lisbon", "handle": "ada"}
    await stub(ADA).GetProfile(pb.GetProfileRequest())
    await asyncio.gather(*(update(stub(ADA), **{name: value}) for name, value in values.items()))
    profile = await stub(ADA).GetProfile(pb.GetProfileRequest())
    assert {name: getattr(profile, name) for name in values} == values
    assert profile.etag == "4"


async def test_of_changes_to_one_etag_one_is_made(stub: Calling) -> None:
    """Of several changes to the same version exactly one is made, the others are told."""
    changes = (update(stub(ADA), display_name=f"Ada {n}", etag="0") for n in range(5))
    await stub(ADA).GetProfile(pb.GetProfileRequest())
    done = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["Profile"] + ["StaleProfile"] * 4


async def test_others_get_the_public_part(stub: Calling) -> None:
    """Another's profile carries the public part; who does not exist is not found."""
    await update(stub(ADA), handle="ada", locale="pt")
    seen = await stub(BOB).GetProfile(pb.GetProfileRequest(user_id=ADA))
    assert (seen.handle, seen.HasField("locale"), seen.etag) == ("ada", False, "")
    with pytest.raises(ProfileNotFound):
        await stub(BOB).GetProfile(pb.GetProfileRequest(user_id=new_id("user")))


async def test_workloads_read_many(stub: Calling) -> None:
    """A workload gets whole profiles in the order of its ids, each once."""
    for one in (ADA, BOB):
        await update(stub(one), locale="pt")
    ids = [BOB, new_id("user"), ADA, BOB]
    found = await stub(workload="operator").BatchGetProfiles(pb.BatchGetProfilesRequest(user_ids=ids))
    assert [(profile.user_id, profile.locale) for profile in found.profiles] == [(BOB, "pt"), (ADA, "pt")]


async def pages(stub: Stub, **query: Any) -> AsyncIterator[pb.ListUsersResponse]:
    token = ""
    while True:
        page = await stub.ListUsers(pb.ListUsersRequest(page_token=token, **query))
        yield page
        if not (token := page.next_page_token):
            return


async def test_pages_survive_writes(stub: Calling) -> None:
    """Who is there from the first page to the last is listed once, whatever is written meanwhile."""
    everybody = [new_id("user", at) for at in range(10, 20)]
    for one in everybody:
        await update(stub(one), handle=f"h_{one[-8:]}")
    seen: list[str] = []
    async for page in pages(stub(ADMINISTRATOR), page_size=3):
        seen += [profile.user_id for profile in page.users]
        for one in everybody:
            await update(stub(one), handle=f"h{len(seen)}_{one[-8:]}")
        await stub(new_id("user", 5)).GetProfile(pb.GetProfileRequest())
    assert seen == everybody


async def test_pages_are_for_administrators(stub: Calling) -> None:
    """Whoever lacks the role is refused."""
    with pytest.raises(Denied):
        await stub(ADA).ListUsers(pb.ListUsersRequest())


async def test_page_tokens_belong_to_their_query(stub: Calling) -> None:
    """A page token is refused with another prefix, and good with another page size (AIP-158)."""
    for name in ("ada", "adele", "bob"):
        await update(stub(new_id("user")), handle=name)
    first = await stub(ADMINISTRATOR).ListUsers(pb.ListUsersRequest(page_size=1, handle_prefix="ad"))
    token = first.next_page_token
    rest = await stub(ADMINISTRATOR).ListUsers(pb.ListUsersRequest(page_size=9, handle_prefix="ad", page_token=token))
    assert [profile.handle for profile in rest.users] == ["adele"]
    for prefix in ("a", ""):
        with pytest.raises(BadPageToken):
            await stub(ADMINISTRATOR).ListUsers(pb.ListUsersRequest(page_token=token, handle_prefix=prefix))
