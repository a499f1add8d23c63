"""The numbers of notifications, with their reasons."""

from __future__ import annotations

from infra.limits import limit
from services.notifications.domain import insisting, judging, preferences

DELIVERY_PREPARED = limit("DELIVERY_PREPARED", 5.0, "s", "To ask who gets a mail and whether it may go; then later.")
SMTP_OFFERED = limit(
    "SMTP_OFFERED", 8.0, "s", "To find a server that hears a mail, shared among all; a connection takes one or two."
)
SMTP_TAKEN = limit(
    "SMTP_TAKEN", 10.0, "s", "For the answer to a whole mail, which is looked at for viruses; then unclear."
)
SMTP_GOODBYE = limit("SMTP_GOODBYE", 1.0, "s", "The mail is taken; whoever is slow to say goodbye is left.")
SENDERS = limit("SENDERS", 4, "", "Mails under way at once in a process.")
SENDER_POLL = limit("SENDER_POLL", 1.0, "s", "Finds deliveries whose time has come, and what a wake missed.")
DELIVERY_LEASE = limit(
    "DELIVERY_LEASE", 30.0, "s", "More than an attempt takes, which ends itself after 24 s; then its sender is dead."
)
SETTLE_PAUSE = limit(
    "SETTLE_PAUSE", insisting.PAUSE, "s", "Until the store is told again what came of an attempt, while that is ours."
)
DELIVERY_TRIED = limit("DELIVERY_TRIED", 86400.0, "s", "A mail that cannot go out for a day says nothing new any more.")
DELIVERY_PAUSE_LONGEST = limit("DELIVERY_PAUSE_LONGEST", 300.0, "s", "Between two attempts; they begin at one second.")
DELIVERIES_KEPT = limit("DELIVERIES_KEPT", 30 * 86400.0, "s", "So long a person can ask why; longer than any replay.")
DELIVERIES_TOLD = limit("DELIVERIES_TOLD", 100, "", "The newest, told to whoever asks why.")
MAILS_TO_ADDRESS = limit(
    "MAILS_TO_ADDRESS", 10, "mails", "Of those that anybody can ask for, of each kind, in the window."
)
MAILS_TO_ADDRESS_WINDOW = limit(
    "MAILS_TO_ADDRESS_WINDOW", 3600.0, "s", "The last ones are still good when the next may go."
)
DIGEST_AT = limit("DIGEST_AT", judging.DIGEST_AT.hour, "o'clock", "Of a person's own day: there when it begins.")
TOLD_MOST = limit("TOLD_MOST", judging.TOLD_MOST, "", "Mails or pushes of a category to one person in the window.")
TOLD_WINDOW = limit("TOLD_WINDOW", judging.TOLD_WINDOW.total_seconds(), "s", "What is more joins the next digest.")
PREFERENCES_ATTEMPTS = limit(
    "PREFERENCES_ATTEMPTS", preferences.ATTEMPTS, "tries", "Of a change that others overtake; then its caller is told."
)
