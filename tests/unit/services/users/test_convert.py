from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st
from tulle.users.v1 import users_pb2 as pb

from mesh.masks import UnknownField
from mesh.model import OrganisationId, UserId
from services.users.convert import (
    preferences_change_from_pb,
    preferences_to_pb,
    profile_change_from_pb,
    profile_to_pb,
)
from services.users.domain import (
    Preferences,
    PreferencesChange,
    Profile,
    ProfileChange,
    Theme,
    WeekStart,
)

NOW = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
USER, ORGANISATION = UserId("user_1"), OrganisationId("organisation_1")
PROFILE = Profile(
    user_id=USER, organisation_id=ORGANISATION, create_time=NOW, update_time=NOW, handle="ada", time_zone="Asia/Tokyo"
)
preferences = st.builds(
    Preferences,
    user_id=st.just(USER),
    organisation_id=st.just(ORGANISATION),
    update_time=st.just(NOW),
    theme=st.sampled_from(Theme),
    product_news=st.booleans(),
    week_start=st.sampled_from(WeekStart),
)


def test_a_whole_profile_has_every_field() -> None:
    """Your own profile carries every field of the message, empty ones too."""
    message = profile_to_pb(PROFILE)
    assert all(message.HasField(field.name) for field in pb.Profile.DESCRIPTOR.fields if field.has_presence)
    assert (message.time_zone, message.etag, message.create_time.ToDatetime(UTC)) == ("Asia/Tokyo", "0", NOW)


def test_a_public_profile_has_four_fields() -> None:
    """Another's profile carries the public part, and the rest is absent."""
    message = profile_to_pb(PROFILE.public)
    present = {field.name for field, _ in message.ListFields()}
    assert present == {"user_id", "handle", "display_name", "avatar_url"}


def test_every_changeable_field_can_be_changed() -> None:
    """`*` reaches each field that the domain lets change: message and domain agree on them."""
    star = FieldMask(paths=["*"])
    profile = profile_change_from_pb(pb.UpdateProfileRequest(update_mask=star))
    assert profile == ProfileChange(**{field.name: "" for field in fields(ProfileChange)})
    change = preferences_change_from_pb(pb.UpdatePreferencesRequest(update_mask=star))
    assert change == PreferencesChange(theme=Theme.DEVICE, product_news=False, week_start=WeekStart.LOCALE)


@given(preferences)
def test_writing_back_what_was_read_changes_nothing(old: Preferences) -> None:
    """Reading and then writing with any mask is a no-op (AIP-161)."""
    for paths in ([], ["*"], ["theme", "week_start"], ["product_news"]):
        request = pb.UpdatePreferencesRequest(preferences=preferences_to_pb(old), update_mask=FieldMask(paths=paths))
        assert old.changed(preferences_change_from_pb(request), NOW) is old


def test_false_is_a_value() -> None:
    """A present `false` is a change even without a mask."""
    request = pb.UpdatePreferencesRequest(preferences=pb.Preferences(product_news=False))
    assert preferences_change_from_pb(request) == PreferencesChange(product_news=False)


def test_a_named_but_absent_field_is_cleared() -> None:
    """A field that the mask names and the resource lacks is emptied; the rest stays (AIP-134)."""
    request = pb.UpdateProfileRequest(profile=pb.Profile(handle="bob"), update_mask=FieldMask(paths=["display_name"]))
    assert profile_change_from_pb(request) == ProfileChange(display_name="")


def test_an_unknown_field_is_refused() -> None:
    """A mask with an unknown field is refused as a whole."""
    with pytest.raises(UnknownField):
        profile_change_from_pb(pb.UpdateProfileRequest(update_mask=FieldMask(paths=["handle", "nickname"])))
