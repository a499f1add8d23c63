"""The numbers of billing's rules, put into the one table: the domain itself knows nothing of it."""

from __future__ import annotations

from infra.limits import limit
from services.billing.domain import asking, charging, dunning, entities, invoicing, ledger, lifecycle, reading, webhooks

limit("AMOUNT_LARGEST", ledger.LARGEST_AMOUNT, "minor units", "In one entry; more is a mistake.")
limit("QUANTITY_LARGEST", entities.LARGEST_QUANTITY, "units", "Of one subscription; more is agreed on by people.")
limit("USE_LARGEST", entities.LARGEST_USE, "units", "In one record of use; more is a mistake.")
limit(
    "DRAFT_LINES",
    entities.MOST_LINES,
    "lines",
    "Of changes that wait for the next invoice: it is read whole each time.",
)
limit(
    "USAGE_LARGEST",
    entities.LARGEST_UNBILLED,
    "minor units",
    "Worth of what is used and not invoiced yet, so that an invoice of it always fits into the ledger.",
)
for place, pause in enumerate(invoicing.RETRIES, 1):
    reason = "After a failed payment, so long until the next one is tried."
    limit(f"DUNNING_PAUSE_{place}", pause.total_seconds(), "s", reason)
limit(
    "DUNNING_GRACE",
    invoicing.GRACE.total_seconds(),
    "s",
    "After the last failed payment, until the invoice is given up and its subscription ends.",
)
limit(
    "INCOMPLETE_KEEP",
    invoicing.INCOMPLETE_FOR.total_seconds(),
    "s",
    "The first payment of a subscription may take a day, and a look at it.",
)
limit("CHARGE_CHECK", asking.CHECK_EVERY.total_seconds(), "s", "Between looks at a payment, should no webhook come.")
limit("PAYER_FIRST", charging.PAYER_FIRST.total_seconds(), "s", "For who pays to ask themselves; if they fail, we do.")
limit("ASK_WITHIN", asking.WITHIN.total_seconds(), "s", "What became of a charge: several requests to the provider.")
limit("ASK_LEASE", asking.LEASE.total_seconds(), "s", "More than ASK_WITHIN; then whoever was asking is dead.")
limit("ASK_AGAIN", asking.AGAIN.total_seconds(), "s", "Until a provider that did not answer is asked again.")
ASKERS = limit("ASKERS", 4, "", "Questions to the provider at once in a process.")
ASK_POLL = limit("ASK_POLL", 1.0, "s", "Finds questions whose time has come, and what a wake missed.")
limit(
    "CHARGE_SEND",
    charging.SEND_WITHIN.total_seconds(),
    "s",
    "A charge is not sent later: the provider forgets idempotency keys after a day.",
)
limit(
    "CHARGE_SHOWN",
    charging.SHOWN_WITHIN.total_seconds(),
    "s",
    "Then what the provider does not find was never sent: its search may be an hour behind.",
)
limit("CHARGE_ACTION", charging.ACTION_WITHIN.total_seconds(), "s", "For payers to confirm a charge at their bank.")
limit(
    "INVOICE_CHARGE_WAIT",
    dunning.WAIT_FOR_CHARGE.total_seconds(),
    "s",
    "An invoice is not given up while a charge of it is under way; so long until the next look.",
)
limit(
    "CLOCKS_DIFFER",
    lifecycle.CLOCKS_DIFFER.total_seconds(),
    "s",
    "Reminders are sent by the database's clock; whoever gets one before its time by theirs looks again so much later.",
)
limit("BILLING_LISTED", reading.DEFAULT_PAGE, "rows", "A screenful, for whoever does not say how many.")
limit("BILLING_LISTED_MOST", reading.LARGEST_PAGE, "rows", "Of 2 KiB with few lines: far under the longest answer.")
limit("WEBHOOK_FRESH", webhooks.FRESH_FOR.total_seconds(), "s", "Between the signing of a webhook and its arrival.")
limit("WEBHOOK_SIGNATURE", webhooks.SIGNATURE_LONGEST, "characters", "Of a signature; more is not even looked at.")
limit("WEBHOOK_SECRETS", webhooks.SECRETS_MOST, "secrets", "The new and the old one while they are rotated.")
limit("WEBHOOK_KEPT", webhooks.NOTICE_KEPT.total_seconds(), "s", "So long Stripe can be asked to send one again.")
