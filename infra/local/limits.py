"""Every number of the local stack, with its unit and its reason; rows of the table of infra.limits."""

from __future__ import annotations

from infra.limits import MIB, limit

# Starting and stopping
START_WITHIN = limit("START_WITHIN", 30.0, "s", "For a process to become ready; ten times what the slowest needs.")
STACK_WITHIN = limit(
    "STACK_WITHIN", 120.0, "s", "For a stack in the background to come up, the first database made included."
)
START_TRIES = limit("START_TRIES", 3, "starts", "Of a process while the stack starts: then it is no accident.")
STOP_WITHIN = limit("STOP_WITHIN", 15.0, "s", "Between asking a process to stop and ending it: longer than DRAIN.")
DOWN_WITHIN = limit("DOWN_WITHIN", 60.0, "s", "For all of them: one STOP_WITHIN for each level of the topology.")
CLAIM_WITHIN = limit("CLAIM_WITHIN", 1.0, "s", "For a stack that begins to say who it is, which it does at once.")
LEFT_WITHIN = limit("LEFT_WITHIN", 10.0, "s", "For what a killed stack has left; by then it has been told already.")
BUILD_TOLD = limit("BUILD_TOLD", 10.0, "s", "Between two words about a build of Go programs, which takes minutes.")
LOOK_EVERY = limit("LOOK_EVERY", 0.03, "s", "Between two looks whether a process is ready: unnoticed, and cheap.")

# Staying up
BACK_OFF = limit("BACK_OFF", 0.2, "s", "Before the first restart of a process that died; then twice as long each time.")
BACK_OFF_LONGEST = limit("BACK_OFF_LONGEST", 10.0, "s", "A box that comes back is noticed within it.")
STEADY = limit("STEADY", 30.0, "s", "A process that ran so long has recovered: its next restart is quick again.")
PROBE_EVERY = limit("PROBE_EVERY", 5.0, "s", "Between two questions to a ready process whether it still is.")
PROBE_AGAIN = limit("PROBE_AGAIN", 0.5, "s", "The same for one that is not ready any more.")
PROBE_WITHIN = limit("PROBE_WITHIN", 3.0, "s", "For its answer; then it is shown as not ready until it comes.")
STACK_CARE = limit("STACK_CARE", 10.0, "s", "Between two looks at logs and certificates.")

# Files
LOG_BYTES = limit("LOG_BYTES", 10 * MIB, "bytes", "Of one process's log; then the older half goes.")
MAILS_CAUGHT = limit("MAILS_CAUGHT", 1000, "mails", "Kept for ./tulle mail; then the oldest go.")
MAIL_BYTES = limit("MAIL_BYTES", 1 * MIB, "bytes", "Of one caught mail; ours have one kilobyte.")
MAIL_WITHIN = limit("MAIL_WITHIN", 10.0, "s", "For a mail to come; it goes out some 50 ms after the call.")

# The stand-in for the payment provider
PAYMENTS_ANSWER_KEEP = limit("PAYMENTS_ANSWER_KEEP", 86400.0, "s", "Stripe forgets idempotency keys after a day too.")
PAYMENTS_HOOK_KEEP = limit("PAYMENTS_HOOK_KEEP", 3 * 86400.0, "s", "A webhook is repeated so long, as Stripe does.")
PAYMENTS_HOOK_WITHIN = limit("PAYMENTS_HOOK_WITHIN", 5.0, "s", "For the answer to a webhook; then it is sent again.")
PAYMENTS_HOOK_FIRST = limit("PAYMENTS_HOOK_FIRST", 0.5, "s", "Before a webhook's first repeat; then twice as long.")
PAYMENTS_HOOK_LONGEST = limit("PAYMENTS_HOOK_LONGEST", 30.0, "s", "A laptop's tests do not wait for hours.")
PAYMENTS_HOOK_BATCH = limit("PAYMENTS_HOOK_BATCH", 16, "webhooks", "Under way at once.")
PAYMENTS_PAGE = limit("PAYMENTS_PAGE", 100, "objects", "Of one list; more than anybody saves.")
