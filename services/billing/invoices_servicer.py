"""`tulle.billing.v1.InvoicesService`: from messages to use cases and back."""

from __future__ import annotations

import asyncio

from google.api.httpbody_pb2 import HttpBody
from tulle.billing.v1 import invoices_pb2 as pb

from mesh.call import Call
from mesh.paging import PageTokens
from services.billing.convert import (
    charge_to_pb,
    credit_note_to_pb,
    details_from_pb,
    details_to_pb,
    invoice_to_pb,
    method_to_pb,
)
from services.billing.domain.billing import Billing
from services.billing.pdf import invoice_pdf


class InvoicesServicer:
    """The RPCs of InvoicesService; what each promises is said in protos/tulle/billing/v1/invoices.proto."""

    def __init__(self, billing: Billing, pages: PageTokens) -> None:
        self.billing = billing
        self.pages = pages

    async def ListInvoices(self, request: pb.ListInvoicesRequest, call: Call) -> pb.ListInvoicesResponse:
        query = (call.method.path, call.caller.signed_in.organisation_id)
        after = self.pages.open(request.page_token, *query)
        page = await self.billing.reading.invoices(call.caller, after, request.page_size)
        return pb.ListInvoicesResponse(
            invoices=map(invoice_to_pb, page.found),
            next_page_token=self.pages.seal(page.after, *query),
        )

    async def GetInvoice(self, request: pb.GetInvoiceRequest, call: Call) -> pb.Invoice:
        return invoice_to_pb(await self.billing.reading.invoice(call.caller, request.invoice_id))

    async def DownloadInvoice(self, request: pb.DownloadInvoiceRequest, call: Call) -> HttpBody:
        invoice, seller = await self.billing.reading.paper(call.caller, request.invoice_id)
        return HttpBody(content_type="application/pdf", data=await asyncio.to_thread(invoice_pdf, invoice, seller))

    async def PayInvoice(self, request: pb.PayInvoiceRequest, call: Call) -> pb.PayInvoiceResponse:
        invoice, settled = await self.billing.charges.pay(call.caller, request.invoice_id)
        return pb.PayInvoiceResponse(invoice=invoice_to_pb(invoice), charge=charge_to_pb(settled) if settled else None)

    async def ListCreditNotes(self, request: pb.ListCreditNotesRequest, call: Call) -> pb.ListCreditNotesResponse:
        notes = await self.billing.reading.credit_notes(call.caller, request.invoice_id)
        return pb.ListCreditNotesResponse(credit_notes=map(credit_note_to_pb, notes))

    async def GetBillingDetails(self, request: pb.GetBillingDetailsRequest, call: Call) -> pb.BillingDetails:
        return details_to_pb(await self.billing.details.get(call.caller))

    async def UpdateBillingDetails(self, request: pb.UpdateBillingDetailsRequest, call: Call) -> pb.BillingDetails:
        return details_to_pb(await self.billing.details.change(call.caller, details_from_pb(request)))

    async def SavePaymentMethod(self, request: pb.SavePaymentMethodRequest, call: Call) -> pb.PaymentMethod:
        saved = await self.billing.methods.save(call.caller, request.token)
        return method_to_pb(saved, saved.method)

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, call: Call
    ) -> pb.ListPaymentMethodsResponse:
        found, charged = await self.billing.methods.list(call.caller)
        return pb.ListPaymentMethodsResponse(payment_methods=[method_to_pb(one, charged) for one in found])

    async def RemovePaymentMethod(
        self, request: pb.RemovePaymentMethodRequest, call: Call
    ) -> pb.RemovePaymentMethodResponse:
        await self.billing.methods.remove(call.caller, request.payment_method_id)
        return pb.RemovePaymentMethodResponse()
