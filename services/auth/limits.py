"""The numbers of auth that belong to none of its parts, and those of its rules for API keys, with their reasons."""

from __future__ import annotations

from datetime import timedelta

from infra.limits import DAY, limit
from services.auth.domain import api_keys
from services.auth.domain.membership import Bounds

DEVICES_KEPT = limit(
    "DEVICES_KEPT", 50, "", "Remembered of one account, least lately used forgotten: a person's, at all their places."
)
DEVICE_KEPT = limit(
    "DEVICE_KEPT", 180 * DAY, "s", "Without a log-in: a session lives 30 days, a holiday home waits longer."
)
MAILS_KEPT = limit("MAILS_KEPT", 7 * 86400.0, "s", "A mail is tried for a day; a week shows what was wanted.")
limit("API_KEYS_MOST", api_keys.MOST_API_KEYS, "keys", "Of one account: one for each program, and one to rotate to.")
limit(
    "API_KEY_LIFE",
    api_keys.LONGEST_LIFE.total_seconds(),
    "s",
    "A year: a key that nobody remembers ends by itself; rotating a key can prolong it.",
)
limit(
    "API_KEY_GRACE",
    api_keys.DEFAULT_GRACE.total_seconds(),
    "s",
    "A day in which programs that still have a key's old secret get the new one.",
)
limit("API_KEY_GRACE_LONGEST", api_keys.LONGEST_GRACE.total_seconds(), "s", "A week, for what is deployed weekly.")
limit(
    "API_KEY_NOTED",
    api_keys.NOTED_EVERY.total_seconds(),
    "s",
    "Between two writes of when a key was used: a busy program costs no write at each exchange.",
)
INVITATION_LIFE = limit("INVITATION_LIFE", 7 * 86400.0, "s", "Over a holiday weekend; an old mail lets nobody in.")
ORGANISATIONS = Bounds(
    organisations=limit("ORGANISATIONS_MOST", 50, "", "That somebody is in besides their own: listed in one answer."),
    members=limit("MEMBERS_MOST", 1000, "", "Of an organisation: its roster is read whole at each change of it."),
    invitations=limit(
        "INVITATIONS_MOST", 50, "", "Open ones of an organisation: listed in one answer, and no mailing."
    ),
    invitation_life=timedelta(seconds=INVITATION_LIFE),
)
