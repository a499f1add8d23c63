"""The numbers of auth's rules, put into the one table: the domain itself knows nothing of it."""

from __future__ import annotations

from infra.limits import limit
from services.auth.domain import codes, entities, passwords

limit("VERIFY_WITHIN", entities.VERIFY_WITHIN.total_seconds(), "s", "A day to find the mail of a sign-up.")
limit(
    "RESET_WITHIN",
    entities.RESET_WITHIN.total_seconds(),
    "s",
    "A reset token opens an account: half an hour is enough.",
)
limit("CHALLENGE_WITHIN", entities.CHALLENGE_WITHIN.total_seconds(), "s", "Between password and second factor.")
limit("SESSION_LIFE", entities.SESSION_LIFE.total_seconds(), "s", "Then a person logs in again, whatever happens.")
limit(
    "SESSION_IDLE", entities.SESSION_IDLE.total_seconds(), "s", "A session that is not refreshed for so long has ended."
)
limit(
    "REFRESH_GRACE", entities.REFRESH_GRACE.total_seconds(), "s", "A lost answer may be asked for again in this time."
)
limit(
    "SESSIONS",
    entities.MOST_SESSIONS,
    "sessions",
    "Of one account, and one bounded list; the next log-in ends the oldest.",
)
limit("PASSWORD_ALONE", passwords.ALONE, "characters", "NIST SP 800-63B-4: a password that stands alone.")
limit("PASSWORD_WITH_FACTOR", passwords.WITH_SECOND_FACTOR, "characters", "NIST SP 800-63B-4: with a second factor.")
limit("TOTP_STEP", codes.STEP, "s", "RFC 6238: for how long a code is shown; one more and one less are taken.")
limit("RECOVERY_CODES", codes.CODES, "codes", "Made at once, 80 random bits each.")
