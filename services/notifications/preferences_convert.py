"""Preferences as messages, and changes from them."""

from __future__ import annotations

from dataclasses import fields
from datetime import time

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.notifications.v1 import preferences_pb2 as pb

from mesh.masks import changing
from services.notifications.domain.kinds import Category
from services.notifications.domain.preferences import Choice, ChoiceChange, Preferences, PreferencesChange
from services.notifications.domain.quiet import QuietHours

CHOSEN = {category: category.value for category in Category if category is not Category.SECURITY}
"""The field of each category that is asked about."""


def preferences_to_pb(preferences: Preferences) -> pb.Preferences:
    """All, what was never spoken of as it is by default."""
    message = pb.Preferences(etag=preferences.etag, quiet_hours=_quiet_to_pb(preferences.quiet))
    for category, name in CHOSEN.items():
        getattr(message, name).CopyFrom(_choice_to_pb(preferences.choice(category)))
    if preferences.update_time is not None:
        stamp = Timestamp()
        stamp.FromDatetime(preferences.update_time)
        message.update_time.CopyFrom(stamp)
    return message


def preferences_change_from_pb(request: pb.UpdatePreferencesRequest) -> PreferencesChange:
    """Raises: UnknownField."""
    new = request.preferences
    changed = changing(new, request.update_mask)
    choices = {category: name for category, name in CHOSEN.items() if name in changed}
    return PreferencesChange(
        etag=new.etag,
        choices={category: _choice_from_pb(new, name) for category, name in choices.items()},
        quiet=(_quiet_from_pb(new),) if "quiet_hours" in changed else None,
    )


def _choice_to_pb(choice: Choice) -> pb.Choice:
    return pb.Choice(mail=choice.mail, push=choice.push, in_app=choice.in_app, daily=choice.daily)


def _choice_from_pb(new: pb.Preferences, name: str) -> ChoiceChange | None:
    if not new.HasField(name):  # type: ignore[arg-type]  # one of CHOSEN
        return None
    choice = getattr(new, name)
    given = (each.name for each in fields(ChoiceChange) if choice.HasField(each.name))
    return ChoiceChange(**{name: getattr(choice, name) for name in given})


def _quiet_to_pb(quiet: QuietHours | None) -> pb.QuietHours | None:
    return pb.QuietHours(start=f"{quiet.start:%H:%M}", end=f"{quiet.end:%H:%M}") if quiet else None


def _quiet_from_pb(new: pb.Preferences) -> QuietHours | None:
    if not new.HasField("quiet_hours"):
        return None
    return QuietHours(time.fromisoformat(new.quiet_hours.start), time.fromisoformat(new.quiet_hours.end))
