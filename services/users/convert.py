"""Protobuf messages to domain values and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from tulle.users.v1 import users_pb2 as pb

from mesh.masks import changing
from services.users.domain import (
    Preferences,
    PreferencesChange,
    Profile,
    ProfileChange,
    PublicProfile,
    Theme,
    WeekStart,
)

_THEMES = {
    Theme.DEVICE: pb.THEME_UNSPECIFIED,
    Theme.LIGHT: pb.THEME_LIGHT,
    Theme.DARK: pb.THEME_DARK,
}
_WEEK_STARTS = {
    WeekStart.LOCALE: pb.WEEKDAY_UNSPECIFIED,
    WeekStart.MONDAY: pb.WEEKDAY_MONDAY,
    WeekStart.SATURDAY: pb.WEEKDAY_SATURDAY,
    WeekStart.SUNDAY: pb.WEEKDAY_SUNDAY,
}
_THEMES_BACK = {number: theme for theme, number in _THEMES.items()}
_WEEK_STARTS_BACK = {number: day for day, number in _WEEK_STARTS.items()}


def profile_to_pb(profile: Profile | PublicProfile) -> pb.Profile:
    """A whole profile, or the public part of one, whose other fields are absent."""
    public = pb.Profile(
        user_id=profile.user_id,
        display_name=profile.display_name,
        handle=profile.handle,
        avatar_url=profile.avatar_url,
    )
    if isinstance(profile, Profile):
        public.MergeFrom(_private_part_to_pb(profile))
    return public


def profile_change_from_pb(request: pb.UpdateProfileRequest) -> ProfileChange:
    """Raises: UnknownField."""
    return ProfileChange(etag=request.profile.etag, **_values(request.profile, request.update_mask))


def preferences_to_pb(preferences: Preferences) -> pb.Preferences:
    """All preferences."""
    return pb.Preferences(
        theme=_THEMES[preferences.theme],
        product_news=preferences.product_news,
        week_start=_WEEK_STARTS[preferences.week_start],
        etag=preferences.etag,
        update_time=_timestamp(preferences.update_time),
    )


def preferences_change_from_pb(request: pb.UpdatePreferencesRequest) -> PreferencesChange:
    """Raises: UnknownField."""
    values = _values(request.preferences, request.update_mask)
    if "theme" in values:
        values["theme"] = _THEMES_BACK[values["theme"]]
    if "week_start" in values:
        values["week_start"] = _WEEK_STARTS_BACK[values["week_start"]]
    return PreferencesChange(etag=request.preferences.etag, **values)


def _values(resource: Message, mask: FieldMask) -> dict[str, Any]:
    return {name: getattr(resource, name) for name in changing(resource, mask)}


def _private_part_to_pb(profile: Profile) -> pb.Profile:
    return pb.Profile(
        locale=profile.locale,
        time_zone=profile.time_zone,
        etag=profile.etag,
        create_time=_timestamp(profile.create_time),
        update_time=_timestamp(profile.update_time),
    )


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
