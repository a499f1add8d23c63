"""The numbers of the inbox, put into the one table."""

from __future__ import annotations

from infra.limits import limit
from services.notifications.inbox import domain

limit("INBOX_LISTED", domain.DEFAULT_PAGE, "messages", "A screenful, for whoever does not say how many.")
limit("INBOX_LISTED_MOST", domain.LARGEST_PAGE, "messages", "Of 1 KiB or so: far under the longest answer.")
limit("INBOX_MOST", domain.MESSAGES_MOST, "messages", "Of one person; the oldest goes when another comes.")
MESSAGES_KEPT = limit("INBOX_MESSAGES_KEPT", 90 * 86400.0, "s", "A quarter; what matters for longer is not an inbox.")
LOCALE_WITHIN = limit("LOCALE_WITHIN", 0.5, "s", "To ask a reader's language; a list in English beats a late one.")
WATCH_EVERY = limit(
    "INBOX_WATCH_EVERY", 0.5, "s", "Between looks for all watchers of a process: live enough to people."
)
