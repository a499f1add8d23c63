"""`tulle.billing.v1.BillingService`: from messages to use cases and back."""

from __future__ import annotations

from tulle.billing.v1 import billing_pb2 as pb

from mesh.call import Call
from mesh.paging import PageTokens
from services.billing.convert import plan_to_pb, subscription_to_pb, use_to_pb
from services.billing.domain.billing import Billing
from services.billing.domain.entities import Subscription
from services.billing.domain.subscriptions import Wanted


class BillingServicer:
    """The RPCs of BillingService; what each promises is said in protos/tulle/billing/v1/billing.proto."""

    def __init__(self, billing: Billing, pages: PageTokens) -> None:
        self.billing = billing
        self.subscriptions = billing.subscriptions
        self.pages = pages

    async def ListPlans(self, request: pb.ListPlansRequest, call: Call) -> pb.ListPlansResponse:
        return pb.ListPlansResponse(plans=map(plan_to_pb, await self.billing.store.plans()))

    async def StartSubscription(self, request: pb.StartSubscriptionRequest, call: Call) -> pb.Subscription:
        wanted = Wanted(
            plan_id=request.plan_id,
            quantity=request.quantity or 1,
            currency=request.currency,
            trial=request.trial,
        )
        return await self._shown(await self.subscriptions.start(call.caller, wanted))

    async def GetSubscription(self, request: pb.GetSubscriptionRequest, call: Call) -> pb.Subscription:
        return await self._shown(await self.subscriptions.get(call.caller, request.subscription_id))

    async def ListSubscriptions(self, request: pb.ListSubscriptionsRequest, call: Call) -> pb.ListSubscriptionsResponse:
        query = (call.method.path, call.caller.signed_in.organisation_id)
        after = self.pages.open(request.page_token, *query)
        page = await self.billing.reading.subscriptions(call.caller, after, request.page_size)
        return pb.ListSubscriptionsResponse(
            subscriptions=[await self._shown(one) for one in page.found],
            next_page_token=self.pages.seal(page.after, *query),
        )

    async def ChangeSubscription(self, request: pb.ChangeSubscriptionRequest, call: Call) -> pb.Subscription:
        changed = await self.subscriptions.change(
            call.caller, request.subscription_id, request.plan_id, request.quantity
        )
        return await self._shown(changed)

    async def CancelSubscription(self, request: pb.CancelSubscriptionRequest, call: Call) -> pb.Subscription:
        return await self._shown(await self.subscriptions.cancel(call.caller, request.subscription_id, request.at_once))

    async def ResumeSubscription(self, request: pb.ResumeSubscriptionRequest, call: Call) -> pb.Subscription:
        return await self._shown(await self.subscriptions.resume(call.caller, request.subscription_id))

    async def RecordUsage(self, request: pb.RecordUsageRequest, call: Call) -> pb.Usage:
        use = await self.subscriptions.record_usage(
            call.caller, request.subscription_id, request.usage_id, request.quantity
        )
        return use_to_pb(use)

    async def _shown(self, found: Subscription) -> pb.Subscription:
        return subscription_to_pb(found, await self.billing.reading.open_invoice_id(found))
