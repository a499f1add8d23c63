"""The numbers of web push, put into the one table."""

from __future__ import annotations

from infra.limits import limit
from services.notifications.push import domain

limit("PUSH_ENDPOINTS_MOST", domain.ENDPOINTS_MOST, "endpoints", "Browsers of one person.")
limit("PUSH_ATTEMPTS", domain.ATTEMPTS, "attempts", "Of one push that its push service does not take now.")
limit("PUSH_PAUSE", domain.PAUSE, "s", "After a first attempt; doubled each time, or what the push service asks for.")
limit("PUSH_PAUSE_LONGEST", domain.PAUSE_LONGEST, "s", "Whatever a push service asks for.")
limit("PUSH_LEASE", domain.LEASE, "s", "More than an attempt takes; then its courier is dead and the push lost.")
limit("PUSH_TTL", domain.TTL, "s", "For a browser that is off; what is older, the inbox tells.")
PUSH_WITHIN = limit("PUSH_WITHIN", 10.0, "s", "Of one attempt; then nobody knows whether it was taken.")
PUSH_CONNECT = limit("PUSH_CONNECT", 5.0, "s", "To reach a push service.")
COURIERS = limit("COURIERS", 4, "", "Pushes under way at once in a process.")
PUSH_POLL = limit("PUSH_POLL", 1.0, "s", "Between looks for pushes that are due.")
VAPID_LIFE = limit("VAPID_LIFE", 3600.0, "s", "Of the word that we are the sender; RFC 8292 allows a day.")
PUSHES_KEPT = limit("PUSHES_KEPT", 30 * 86400.0, "s", "As long as deliveries: what came of them can be asked.")
