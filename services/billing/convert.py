"""Domain values to protobuf messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from tulle.billing.v1 import accounting_pb2, billing_pb2, invoices_pb2

from mesh.masks import changing
from services.billing.domain.charging import Settled
from services.billing.domain.entities import (
    CreditNote,
    Customer,
    Invoice,
    InvoiceState,
    PaymentState,
    Refund,
    Subscription,
    SubscriptionState,
    Use,
)
from services.billing.domain.ledger import Balance
from services.billing.domain.plans import Interval, Plan
from services.billing.domain.ports import ProviderMethod

_INTERVALS = {Interval.MONTH: billing_pb2.INTERVAL_MONTH, Interval.YEAR: billing_pb2.INTERVAL_YEAR}
_SUBSCRIPTION_STATES = {
    SubscriptionState.INCOMPLETE: billing_pb2.SUBSCRIPTION_STATE_INCOMPLETE,
    SubscriptionState.TRIALING: billing_pb2.SUBSCRIPTION_STATE_TRIALING,
    SubscriptionState.ACTIVE: billing_pb2.SUBSCRIPTION_STATE_ACTIVE,
    SubscriptionState.PAST_DUE: billing_pb2.SUBSCRIPTION_STATE_PAST_DUE,
    SubscriptionState.ENDED: billing_pb2.SUBSCRIPTION_STATE_ENDED,
}
_INVOICE_STATES = {
    InvoiceState.DRAFT: invoices_pb2.INVOICE_STATE_DRAFT,
    InvoiceState.OPEN: invoices_pb2.INVOICE_STATE_OPEN,
    InvoiceState.PAID: invoices_pb2.INVOICE_STATE_PAID,
    InvoiceState.UNCOLLECTIBLE: invoices_pb2.INVOICE_STATE_UNCOLLECTIBLE,
    InvoiceState.VOID: invoices_pb2.INVOICE_STATE_VOID,
}
_CHARGE_STATES = {
    PaymentState.CREATED: invoices_pb2.CHARGE_STATE_PENDING,
    PaymentState.PENDING: invoices_pb2.CHARGE_STATE_PENDING,
    PaymentState.ACTION_NEEDED: invoices_pb2.CHARGE_STATE_ACTION_NEEDED,
    PaymentState.SUCCEEDED: invoices_pb2.CHARGE_STATE_SUCCEEDED,
    PaymentState.FAILED: invoices_pb2.CHARGE_STATE_FAILED,
}


def plan_to_pb(plan: Plan) -> billing_pb2.Plan:
    """A plan of the catalogue."""
    return billing_pb2.Plan(
        plan_id=plan.plan_id,
        product=plan.product,
        display_name=plan.display_name,
        interval=_INTERVALS[plan.interval],
        currency=plan.currency,
        unit=plan.unit,
        unit_amount_minor=plan.unit_amount,
        unit_count=plan.unit_count,
        metered=plan.metered,
        trial_days=plan.trial_days,
    )


def subscription_to_pb(found: Subscription, open_invoice_id: str) -> billing_pb2.Subscription:
    """A subscription and which of its invoices waits."""
    return billing_pb2.Subscription(
        subscription_id=found.subscription_id,
        plan_id=found.plan_id,
        product=found.product,
        quantity=found.quantity,
        state=_SUBSCRIPTION_STATES[found.state],
        period_start_time=_time(found.period_start),
        period_end_time=_time(found.period_end),
        cancel_at_period_end=found.cancel_at_period_end,
        open_invoice_id=open_invoice_id,
        create_time=_time(found.create_time),
        end_time=_time(found.end_time),
    )


def use_to_pb(use: Use) -> billing_pb2.Usage:
    """A use that was counted."""
    return billing_pb2.Usage(
        usage_id=use.usage_id,
        subscription_id=use.subscription_id,
        quantity=use.quantity,
        create_time=_time(use.create_time),
    )


def invoice_to_pb(invoice: Invoice) -> invoices_pb2.Invoice:
    """An invoice with its lines."""
    lines = (
        invoices_pb2.InvoiceLine(description=line.description, quantity=line.quantity, amount_minor=line.amount)
        for line in invoice.lines
    )
    return invoices_pb2.Invoice(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        buyer=invoice.buyer,
        state=_INVOICE_STATES[invoice.state],
        subscription_id=invoice.subscription_id,
        currency=invoice.currency,
        lines=lines,
        subtotal_minor=invoice.subtotal,
        tax_basis_points=invoice.tax_basis_points,
        tax_minor=invoice.tax,
        total_minor=invoice.total,
        credited_minor=invoice.credited,
        paid_minor=invoice.paid,
        due_minor=invoice.due,
        period_start_time=_time(invoice.period_start),
        period_end_time=_time(invoice.period_end),
        create_time=_time(invoice.create_time),
        finalise_time=_time(invoice.finalise_time),
        next_attempt_time=_time(invoice.next_attempt_time),
    )


def charge_to_pb(settled: Settled) -> invoices_pb2.Charge:
    """A charge and what its payer confirms it with."""
    charge = settled.charge
    return invoices_pb2.Charge(
        charge_id=charge.charge_id,
        state=_CHARGE_STATES[charge.state],
        amount_minor=charge.amount,
        currency=charge.currency,
        client_secret=settled.client_secret,
        failure=charge.failure,
    )


def credit_note_to_pb(note: CreditNote) -> invoices_pb2.CreditNote:
    """A credit note."""
    return invoices_pb2.CreditNote(
        credit_note_id=note.credit_note_id,
        number=note.number,
        invoice_id=note.invoice_id,
        amount_minor=note.amount,
        tax_minor=note.tax,
        currency=note.currency,
        reason=note.reason,
        create_time=_time(note.create_time),
    )


def method_to_pb(method: ProviderMethod, charged: str) -> invoices_pb2.PaymentMethod:
    """A payment method, and whether it is the one that is charged."""
    return invoices_pb2.PaymentMethod(
        payment_method_id=method.method, brand=method.brand, last4=method.last4, charged=method.method == charged
    )


def details_to_pb(customer: Customer) -> invoices_pb2.BillingDetails:
    """Who an organisation is on its invoices."""
    return invoices_pb2.BillingDetails(name=customer.name, address=customer.address, tax_id=customer.tax_id)


def details_from_pb(request: invoices_pb2.UpdateBillingDetailsRequest) -> dict[str, str]:
    """The values to change. Raises: UnknownField."""
    details = request.billing_details
    return {name: getattr(details, name) for name in changing(details, request.update_mask)}


def refund_to_pb(refund: Refund) -> accounting_pb2.Refund:
    """A refund that has begun."""
    return accounting_pb2.Refund(
        refund_id=refund.refund_id,
        charge_id=refund.charge_id,
        amount_minor=refund.amount,
        currency=refund.currency,
    )


def balance_to_pb(balance: Balance) -> accounting_pb2.Balance:
    """What an account holds."""
    return accounting_pb2.Balance(account=balance.account, currency=balance.currency, amount_minor=balance.amount)


def _time(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    time = Timestamp()
    time.FromDatetime(at)
    return time
