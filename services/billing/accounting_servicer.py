"""`tulle.billing.v1.AccountingService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.billing.v1 import accounting_pb2 as pb
from tulle.billing.v1 import invoices_pb2

from mesh.call import Call
from services.billing.convert import balance_to_pb, credit_note_to_pb, invoice_to_pb, refund_to_pb
from services.billing.domain.billing import Billing


class AccountingServicer:
    """The RPCs of AccountingService; what each promises is said in protos/tulle/billing/v1/accounting.proto."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing
        self.corrections = billing.corrections

    async def ListBalances(self, request: pb.ListBalancesRequest, call: Call) -> pb.ListBalancesResponse:
        return pb.ListBalancesResponse(balances=map(balance_to_pb, await self.billing.store.balances()))

    async def RefundInvoice(self, request: pb.RefundInvoiceRequest, call: Call) -> pb.Refund:
        amount = None if request.full else request.amount_minor
        return refund_to_pb(await self.corrections.refund(call.caller, request.invoice_id, amount, request.reason))

    async def CreditInvoice(self, request: pb.CreditInvoiceRequest, call: Call) -> invoices_pb2.CreditNote:
        return credit_note_to_pb(
            await self.corrections.credit(call.caller, request.invoice_id, request.amount_minor, request.reason)
        )

    async def VoidInvoice(self, request: pb.VoidInvoiceRequest, call: Call) -> invoices_pb2.Invoice:
        return invoice_to_pb(await self.corrections.void(call.caller, request.invoice_id))
