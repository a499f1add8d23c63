"""Everything that billing tells its callers."""

from __future__ import annotations

from typing import NoReturn

from mesh.model import AlreadyExists, FailedPrecondition, Invalid, NotFound, Unauthenticated, Violation


class UnknownPlan(Invalid):
    """There is no such plan on offer; GET /v1/plans lists them."""


class UnknownPaymentToken(Invalid):
    """The payment provider knows no payment method of this token; make a new one in the client."""


class WebhookMalformed(Invalid):
    """The body is no event of the payment provider."""


class PlanOfAnotherProduct(Invalid):
    """A subscription keeps its product and its way of counting; start another one for this plan."""


class CurrencyMismatch(Invalid):
    """The plan is in another currency."""


class QuantityNotAllowed(Invalid):
    """A metered plan is paid by what is used, and has no quantity."""


class RefundTooLarge(Invalid):
    """A refund never exceeds what was paid and has not been given back."""


class CreditTooLarge(Invalid):
    """A credit note never exceeds what is left of its invoice."""


class AlreadySubscribed(AlreadyExists):
    """Your organisation has a live subscription to this product; change that one."""


class UsageIdReused(AlreadyExists):
    """This usage_id was recorded with another quantity or for another subscription; each use has an id of its own."""


class TrialNotOffered(FailedPrecondition):
    """This plan has no trial, or your organisation has had one for this product."""


class PaymentMethodMissing(FailedPrecondition):
    """There is nothing to pay with; save a payment method first."""


class PaymentMethodDeclined(FailedPrecondition):
    """The bank declines this payment method; save another one."""


class TooManyChanges(FailedPrecondition):
    """So many changes wait for the next invoice that no more are taken; change it in the next period."""


class PaymentMethodInUse(FailedPrecondition):
    """A live subscription is paid with this method; save another one first."""


class AlreadyCancelled(FailedPrecondition):
    """This subscription is cancelled already."""


class SubscriptionEnded(FailedPrecondition):
    """This subscription has ended; start a new one."""


class SubscriptionUnpaid(FailedPrecondition):
    """An invoice of this subscription is open; pay it first."""


class NotMetered(FailedPrecondition):
    """This subscription is not paid by what is used."""


class UsageBeyondBound(FailedPrecondition):
    """More was used in this period than is invoiced without somebody asking; talk to us."""


class InvoiceNotOpen(FailedPrecondition):
    """Only an open invoice can be paid or voided."""


class InvoiceNotFinal(FailedPrecondition):
    """Only what is open or paid can be credited, and only what is paid be refunded."""


class InvoiceIsDraft(FailedPrecondition):
    """A draft still changes; it becomes an invoice when its period ends."""


class PaymentUnderWay(FailedPrecondition):
    """A payment of this invoice is under way; wait for its outcome."""


class SubscriptionNotFound(NotFound):
    """Your organisation has no such subscription."""


class InvoiceNotFound(NotFound):
    """Your organisation has no such invoice."""


class ChargeNotFound(NotFound):
    """There is no such charge."""


class RefundNotFound(NotFound):
    """There is no such refund."""


class PaymentMethodNotFound(NotFound):
    """Your organisation has no such payment method."""


def refuse(error: type[Invalid], field: str, description: str) -> NoReturn:
    """Raise `error`, naming the field."""
    raise error(violations=(Violation(field, description),))


class WebhookForged(Unauthenticated):
    """The signature is not the payment provider's; check the endpoint's signing secret."""


class WebhookStale(Unauthenticated):
    """The signature is older than five minutes, or from the future; send the event again with a new one."""
