"""The numbers of users' rules, put into the one table: the domain itself knows nothing of it."""

from __future__ import annotations

from infra.limits import limit
from services.users import domain

limit("PROFILES_LISTED", domain.DEFAULT_PAGE, "profiles", "A screenful, for whoever does not say how many.")
limit(
    "PROFILES_LISTED_MOST",
    domain.LARGEST_PAGE,
    "profiles",
    "Of 2.5 KiB at most: half a MiB, far under the longest answer.",
)
limit("CHANGE_ATTEMPTS", domain.ATTEMPTS, "tries", "Of a change that others overtake; then its caller is told.")
