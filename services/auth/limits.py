"""The numbers of auth that belong to none of its parts, with their reasons."""

from __future__ import annotations

from infra.limits import limit

MAILS_KEPT = limit("MAILS_KEPT", 7 * 86400.0, "s", "A mail is tried for a day; a week shows what was wanted.")
