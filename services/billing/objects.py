"""Whose objects the requests of billing name."""

from __future__ import annotations

from services.objects import OK, Object

NOBODYS = frozenset({"plan_id", "usage_id"})
"""Plans are for everybody, and clients count their own uses as they like."""

_PACKAGE = "/tulle.billing.v1"


def _subscription(method: str, kind: str = "subscription") -> Object:
    no = "SUBSCRIPTION_NOT_FOUND"
    return Object(f"{_PACKAGE}.BillingService/{method}", "subscription_id", kind, others=no, administrators=no)


def _invoice(method: str) -> Object:
    no = "INVOICE_NOT_FOUND"
    return Object(f"{_PACKAGE}.InvoicesService/{method}", "invoice_id", "open_invoice", others=no, administrators=no)


def _correction(method: str, kind: str) -> Object:
    return Object(f"{_PACKAGE}.AccountingService/{method}", "invoice_id", kind, others="DENIED", administrators=OK)


OBJECTS = (
    *map(_subscription, ("GetSubscription", "ChangeSubscription", "CancelSubscription", "ResumeSubscription")),
    _subscription("RecordUsage", "metered_subscription"),
    *map(_invoice, ("GetInvoice", "DownloadInvoice", "PayInvoice", "ListCreditNotes")),
    Object(
        f"{_PACKAGE}.InvoicesService/RemovePaymentMethod",
        "payment_method_id",
        "payment_method",
        others="PAYMENT_METHOD_NOT_FOUND",
        administrators="PAYMENT_METHOD_NOT_FOUND",
    ),
    _correction("RefundInvoice", "paid_invoice"),
    _correction("CreditInvoice", "open_invoice"),
    _correction("VoidInvoice", "open_invoice"),
)
