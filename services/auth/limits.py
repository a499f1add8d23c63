"""The numbers of auth that belong to none of its parts, with their reasons."""

from __future__ import annotations

from infra.limits import DAY, limit

DEVICES_KEPT = limit(
    "DEVICES_KEPT", 50, "", "Remembered of one account, least lately used forgotten: a person's, at all their places."
)
DEVICE_KEPT = limit(
    "DEVICE_KEPT", 180 * DAY, "s", "Without a log-in: a session lives 30 days, a holiday home waits longer."
)
MAILS_KEPT = limit("MAILS_KEPT", 7 * 86400.0, "s", "A mail is tried for a day; a week shows what was wanted.")
